"""Ways to log in where others know who somebody is, at a farm that builds nothing; and who can reach a farm at all."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from kmodci.users import FIRST
from support.browser import chromium, shown
from support.farm import LiveFarm, live_farm, source
from support.oauthserver import CLIENT_SECRET, CODE, TOKEN, Provider, oauth_server
from support.web import Answer, ask

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

ROLES = {"read": {"domains": ["corp.example"]}, "operate": {"groups": ["team/kernel"]}}
USER = {"username": "alice", "name": "</script><script>alert(1)</script>", "email": "a@b.example"}
SCHEDULER = "force"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveFarm]:
    """Up, with nothing to build: no repository is followed that has a kernel for it."""
    with live_farm(tmp_path_factory.mktemp("farm"), None, {"hello": source("hello")}, targets=[]) as made:
        made.up()
        yield made


@contextmanager
def configured(farm: LiveFarm, **more: object) -> Iterator[None]:
    before = json.loads((farm.config / "kmodci.yml").read_text())
    web = {**before["web"], **more.pop("web", {})}  # type: ignore[dict-item]
    farm.write("kmodci.yml", {**before, **more, "web": web})
    assert "update complete" in farm.reconfigure()
    try:
        yield
    finally:
        farm.write("kmodci.yml", before)
        assert "update complete" in farm.reconfigure()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with oauth_server() as made:
        yield made


def begin(farm: LiveFarm, wanted: str = "") -> tuple[str, dict[str, str]]:
    """The cookie, and what the browser is sent to the provider with."""
    answer = ask(farm, f"auth/login?{urlencode({'redirect': wanted})}")
    assert answer.status == 302
    [cookie] = [each for each in answer.cookies if each.startswith("kmodci_login=")]
    assert "httponly" in cookie.lower() and "samesite=lax" in cookie.lower()
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    return cookie.partition(";")[0], {name: values[0] for name, values in query.items()}


def come_back(farm: LiveFarm, cookie: str, **query: str) -> Answer:
    return ask(farm, f"auth/login?{urlencode(query)}", headers={"Cookie": cookie})


def session(answer: Answer) -> str:
    return next((each.partition(";")[0] for each in answer.cookies if each.startswith("TWISTED_SESSION=")), "")


def may_operate(farm: LiveFarm, cookie: str) -> bool:
    """It is on already: nothing is changed."""
    [scheduler] = [each for each in farm.get("schedulers")["schedulers"] if each["name"] == SCHEDULER]
    status, _ = farm.call(f"schedulers/{scheduler['schedulerid']}", "enable", {"enabled": True}, cookie=cookie)
    assert status in (200, 403)
    return status == 200


def test_gitlab(farm: LiveFarm, provider: Provider, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(CLIENT_SECRET)
    secret.chmod(0o600)
    kernel = {"path": "kernel", "full_path": "team/kernel"}
    provider.answers = {"/api/v4/user": USER, "/api/v4/groups": [kernel]}
    gitlab = {"url": provider.url, "client_id": "kmodci", "client_secret_file": str(secret)}
    password_session = farm.cookie
    with configured(farm, login={"gitlab": gitlab, "roles": ROLES}):
        assert not may_operate(farm, password_session), "who came by a password has no role here"
        cookie, query = begin(farm, "kmodci/sources")
        assert query["redirect_uri"] == f"{farm.url}/auth/login" and query["client_id"] == "kmodci"
        entered = come_back(farm, cookie, code=CODE, state=query["state"])
        assert (entered.status, entered.headers["Location"]) == (302, f"{farm.url}/kmodci/sources")
        assert may_operate(farm, session(entered))
        # the name that one gave oneself is text in Buildbot's page
        front = ask(farm, "", headers={"Cookie": session(entered)}).body
        assert USER["name"] not in front and "\\u003c/script>" in front

        # a code that somebody else has got, in a browser that has not begun, or has begun something else
        other, _ = begin(farm)
        for stolen, state in (("", query["state"]), (other, query["state"]), (other, ""), ("kmodci_login=", " x")):
            refused = come_back(farm, stolen, code=CODE, state=state)
            assert (refused.status, session(refused)) == (403, "")
        cookie, query = begin(farm)
        refused = come_back(farm, cookie, code="wrong", state=query["state"])
        assert (refused.status, session(refused)) == (502, "")
        assert come_back(farm, "", error="access_denied").status == 403

        provider.answers["/api/v4/groups"] = [{"path": "kernel", "full_path": "evil/kernel"}]
        cookie, query = begin(farm)
        assert not may_operate(farm, session(come_back(farm, cookie, code=CODE, state=query["state"])))
    logged = farm.log + "".join(path.read_text() for path in (farm.state / "master").glob("http.log*"))
    assert "'alice' logs in by gitlab" in logged
    for text in (TOKEN, CLIENT_SECRET, session(entered).split(".")[-1]):
        assert text not in logged


def test_a_proxy_is_believed_and_who_is_none_is_not(farm: LiveFarm) -> None:
    headers = {"X-Remote-User": "alice", "X-Remote-Groups": "team/kernel"}
    login = {"read": "login", "proxy": {"groups_header": "X-Remote-Groups"}, "roles": ROLES}

    def runs(address: str, **more: str) -> int:
        return ask(farm, "kmodci/runs", headers={**headers, **more}, address=address).status

    with configured(farm, login=login, web={"proxies": ["127.0.0.2"]}):
        assert runs("127.0.0.2") == 200
        assert runs("127.0.0.1") == 303
        assert runs("127.0.0.1", **{"X-Forwarded-For": "127.0.0.2"}) == 303
        front = ask(farm, "", headers=headers, address="127.0.0.2")
        assert front.status == 200 and '"username": "alice"' in front.body
        # the cookie of that is nobody's pass: with each request it is asked again
        cookie = session(front)
        assert cookie and ask(farm, "kmodci/runs", headers={"Cookie": cookie}).status == 303
        assert runs("127.0.0.2", **{"X-Remote-Groups": "", "Cookie": cookie}) == 403
        assert ask(farm, "auth/login").status == 403


def test_behind_tls_cookies_go_over_tls_only(farm: LiveFarm) -> None:
    with configured(farm, web={"url": "https://farm.example"}):
        answer = ask(farm, "config", headers={"Host": "farm.example"})
        [cookie] = answer.cookies
        assert "secure" in [part.strip().lower() for part in cookie.split(";")]
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        assert ask(farm, "config", headers={"Host": "other.example"}).status == 403


def test_logging_in_with_a_browser(farm: LiveFarm) -> None:
    with chromium() as browser, shown(browser) as window:
        page = window.page
        page.goto(farm.url)
        page.get_by_text("Anonymous").click()
        page.get_by_text("Login").click()
        page.get_by_label("Name").fill(FIRST)
        page.get_by_label("Password").fill("not this one")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("no user has this name and this password").wait_for()
        page.get_by_label("Name").fill(FIRST)
        page.get_by_label("Password").fill(farm.paths.first_password.read_text().strip())
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{farm.url}/#/**")
        page.get_by_text(FIRST, exact=True).first.wait_for()
        assert page.evaluate("document.cookie") == ""
        # 403 of the wrong one is a fault to a browser; that a rule was broken would be another
        assert [fault for fault in window.faults if "403" not in fault] == []


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def another_machine() -> Iterator[tuple[str, Callable[[str, int], str]]]:
    """A network namespace beside ours: our address on the way there, and how a connection from there to a port ends."""
    name = f"kmodci-{os.getpid()}"
    ours, theirs = f"km{os.getpid()}a", f"km{os.getpid()}b"
    _ip("netns", "add", name)
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", name)
        _ip("addr", "add", "198.18.7.1/30", "dev", ours)
        _ip("link", "set", ours, "up")
        for words in (("addr", "add", "198.18.7.2/30", "dev", theirs), ("link", "set", theirs, "up")):
            _ip("-n", name, *words)

        def connect(address: str, port: int) -> str:
            code = f"import socket; socket.create_connection(({address!r}, {port}), timeout=5); print('connected')"
            words = ["ip", "netns", "exec", name, sys.executable, "-c", code]
            done = subprocess.run(words, capture_output=True, text=True)
            return done.stdout.strip() or done.stderr.strip().splitlines()[-1].partition(":")[0]

        yield "198.18.7.1", connect
    finally:
        subprocess.run(["ip", "link", "del", ours], capture_output=True)
        _ip("netns", "del", name)


@pytest.mark.skipif(os.geteuid() != 0, reason="another network namespace needs root")
def test_nothing_of_a_farm_on_loopback_can_be_reached_from_another_machine(farm: LiveFarm) -> None:
    pids = {farm.master_pid(), int((farm.state / "s3.pid").read_text().split()[0])}
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    places = [line.split()[3] for line in listening if any(f"pid={pid}," in line for pid in pids)]
    ports = {int(place.rpartition(":")[2]) for place in places}
    assert ports == {farm.port, farm.port + 1}, "the workers' is a unix socket"
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+", place) for place in places)
    with another_machine() as (address, connect), socket.socket() as open_to_all:
        open_to_all.bind(("0.0.0.0", 0))
        open_to_all.listen()
        assert connect(address, open_to_all.getsockname()[1]) == "connected", "one that could be reached is"
        for port in ports:
            assert connect(address, port) == "ConnectionRefusedError"
