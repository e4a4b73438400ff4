"""Attacks on the web server of a farm that runs: who may do what, by whatever way it is tried."""

import base64
import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.loginfile import Role
from kmodci.users import Users
from support.browser import chromium, shown
from support.farm import LiveFarm, gated, live_farm, source
from support.web import ask, submit
from support.webpages import FORM

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]

PASSWORDS = {
    "reader": "reading-is-all",
    "builder": "builds-and-builds",
    "other": "some-other-person",
    "gone": "was-once-here",
}
ROLES = {"reader": Role.READ, "builder": Role.BUILD, "other": Role.BUILD, "gone": Role.OPERATE}
JSON = "application/json"
TARGET_SOURCE = "test main"
# what a Makefile may write: HTML, a title for the terminal, a link that is a script, colours
_SAID = (
    "<script>document.title = 1</script><img src=x onerror=document.title=2>"
    r"\033]0;owned\007\033]8;;javascript:alert(1)\033\\press me\033]8;;\033\\ \033[31mred\033[0m end-of-it"
)
ALOUD = source(
    "hello",
    build=f"printf '%b\\n' '{_SAID}'; exit 1",
    artifacts=["hello.ko"],
    kernels={"include": ["*/*-cloud-amd64"]},
)


def foreign(farm: LiveFarm) -> list[str]:
    """Where a page of another site says it is from."""
    return [
        "https://evil.example",
        "null",
        f"{farm.url}.evil.example",
        f"http://evil.example:{farm.port}",
        f"{farm.url}0",
    ]


@pytest.fixture(scope="module")
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None]) -> Iterator[LiveFarm]:
    """With four builds, which nobody has asked for: two run until they are let go, two wait."""
    publish(repo, "old", "old-cloud")
    modules = {"aloud": ALOUD, "first": gated(), "second": gated()}
    with live_farm(folder, repo, modules) as made:
        made.up()
        made.until(lambda: any(name.startswith("aloud/") for name in made.store.outcomes()))
        users = Users(made.state / "users.json")
        for name, password in PASSWORDS.items():
            users.add(name, ROLES[name], password)
        made.await_running(2)
        yield made


@pytest.fixture(scope="module")
def cookies(farm: LiveFarm) -> dict[str, str]:
    """Of each user, and of nobody."""
    return {"": "", **{name: farm.log_in(name, password) for name, password in PASSWORDS.items()}}


@dataclass(frozen=True, slots=True)
class State:
    """What an attack could change."""

    running: frozenset[str]
    builds: int
    waiting: int
    runs: tuple[str, ...]
    paused: tuple[bool, ...]


def state(farm: LiveFarm) -> State:
    return State(
        running=frozenset(farm.running()),
        builds=len(farm.get("builds")["builds"]),
        waiting=len(farm.get("buildrequests?complete=false&claimed=false")["buildrequests"]),
        runs=tuple(run.id for run in farm.runs.runs()),
        paused=tuple(worker["paused"] for worker in farm.get("workers")["workers"]),
    )


def controls(farm: LiveFarm) -> list[tuple[str, str, dict[str, object]]]:
    """Everything that Buildbot's REST takes a command for: path, method, parameters."""
    name, build = next(iter(farm.running().items()))
    module, _, kernel = name.partition("/")
    [request, *_] = farm.get("buildrequests?complete=false&claimed=false")["buildrequests"]
    [scheduler, *_] = farm.get("schedulers")["schedulers"]
    [worker, *_] = farm.get("workers")["workers"]
    gc = farm.builder("gc")
    assert gc
    return [
        ("forceschedulers/force", "force", {"module": module, "kernel": kernel, "rebuild": True}),
        (f"builds/{build['buildid']}", "rebuild", {}),
        ("forceschedulers/gc-force", "force", {"builderid": gc["builderid"]}),
        (f"builds/{build['buildid']}", "stop", {"reason": "enough"}),
        (f"buildrequests/{request['buildrequestid']}", "cancel", {"reason": "enough"}),
        (f"buildrequests/{request['buildrequestid']}", "set_priority", {"priority": 1}),
        (f"schedulers/{scheduler['schedulerid']}", "enable", {"enabled": False}),
        *((f"workers/{worker['workerid']}", method, {}) for method in ("stop", "pause", "unpause", "kill")),
    ]


@pytest.mark.parametrize("who", ["", "reader"])
def test_who_may_not_does_nothing(farm: LiveFarm, cookies: dict[str, str], who: str) -> None:
    before = state(farm)
    for path, method, parameters in controls(farm):
        status, answer = farm.call(path, method, parameters, cookie=cookies[who])
        assert (status, "role" in answer["error"]["message"]) == (403, True), (path, method, answer)
    run = farm.runs.runs()[0]
    assert submit(farm, f"kmodci/runs/{run.id}/cancel", cookie=cookies[who], running="stop").status == 403
    source = quote(TARGET_SOURCE, safe="")
    assert submit(farm, f"kmodci/sources/{source}/accept", cookie=cookies[who], said="x").status == 403
    for hook in ("base", "github", "poller"):
        assert ask(farm, f"change_hook/{hook}", body="{}", headers={"Content-Type": JSON}).status >= 400
    assert state(farm) == before


def test_who_may_build_does_not_operate(farm: LiveFarm, cookies: dict[str, str]) -> None:
    before, mine = state(farm), cookies["builder"]
    for path, method, parameters in controls(farm)[2:]:
        # that it is one's own is not for the one who asks to say
        status, answer = farm.call(path, method, {**parameters, "owner": "builder"}, cookie=mine)
        assert status == 403, (path, method, answer)
    run = farm.runs.runs()[0]
    assert submit(farm, f"kmodci/runs/{run.id}/cancel", cookie=mine, running="stop").status == 403
    assert state(farm) == before


def test_another_sites_page_does_nothing_by_somebodys_cookie(farm: LiveFarm) -> None:
    before = state(farm)
    for path, method, parameters in controls(farm):
        call = json.dumps({"jsonrpc": "2.0", "method": method, "id": 1, "params": parameters})
        for headers in (
            *({"Content-Type": JSON, "Origin": origin} for origin in foreign(farm)),
            *({"Content-Type": kind} for kind in ("text/plain", FORM, "multipart/form-data")),
            *({"Content-Type": kind, "Origin": farm.url} for kind in ("text/plain", FORM)),
        ):
            refused = ask(farm, f"api/v2/{path}", headers={**headers, "Cookie": farm.cookie}, body=call)
            assert refused.status == 400, (path, headers, refused.body)
    run = farm.runs.runs()[0]
    for origin in (*foreign(farm), None):
        for path in (f"kmodci/runs/{run.id}/cancel", "kmodci/sources/x/accept"):
            assert submit(farm, path, cookie=farm.cookie, origin=origin, running="stop").status == 403
        assert submit(farm, "auth/login", origin=origin, user="builder", password=PASSWORDS["builder"]).status == 403
    assert state(farm) == before


def test_cookies_are_kept_from_scripts_and_other_sites(farm: LiveFarm) -> None:
    entered = submit(farm, "auth/login", user="builder", password=PASSWORDS["builder"], redirect="kmodci/runs")
    assert (entered.status, entered.headers["Location"]) == (303, "../kmodci/runs")
    anonymous, left = ask(farm, "config"), ask(farm, "auth/logout", headers={"Cookie": farm.cookie})
    for answer in (entered, anonymous, left):
        [cookie] = answer.cookies
        assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"path=/", "httponly", "samesite=lax"}
    [session] = entered.cookies
    claims = json.loads(base64.urlsafe_b64decode(session.split("=", 1)[1].split(".")[1] + "=="))
    assert time.time() < claims["exp"] <= time.time() + 12 * 3600 + 60
    assert PASSWORDS["builder"] not in str(claims)


@pytest.mark.parametrize(
    "wanted", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "\r\nX: y"]
)
def test_who_logs_in_is_not_sent_to_another_site(farm: LiveFarm, wanted: str) -> None:
    entered = submit(farm, "auth/login", user="builder", password=PASSWORDS["builder"], redirect=wanted)
    assert entered.status == 303
    assert entered.headers["Location"].startswith("../#") and "X" not in entered.headers


def test_passwords_are_not_tried_for_ever(farm: LiveFarm) -> None:
    def tried(user: str, password: str, address: str) -> tuple[int, int]:
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        answer = ask(farm, "auth/login", headers={"Authorization": f"Basic {basic}"}, address=address)
        return answer.status, int(answer.headers["Retry-After"] or 0)

    # from one address, whoever is tried
    statuses = [tried(f"user-{number}", "not this one", "127.0.0.2")[0] for number in range(20)]
    assert statuses[:3] == [403] * 3 and 429 in statuses[3:] and set(statuses) == {403, 429}
    status, wait = tried("builder", PASSWORDS["builder"], "127.0.0.2")
    assert (status, wait > 0) == (429, True), "the right one is not looked at either"
    # one user, from wherever
    statuses = [tried("other", "not this one", f"127.0.0.{number}")[0] for number in range(10, 30)]
    assert statuses[:3] == [403] * 3 and 429 in statuses[3:]
    assert tried("builder", PASSWORDS["builder"], "127.0.0.31")[0] == 200
    # what is said does not depend on there being such a user
    assert submit(farm, "auth/login", user="nobody", password="not this one").body.replace("nobody", "") == submit(
        farm, "auth/login", user="reader", password="not this one"
    ).body.replace("reader", "")
    assert "reader is refused from 127.0.0.1" in farm.log and "somebody unknown is refused from 127.0.0.1" in farm.log


def test_answers_say_what_a_browser_may_do_with_them(farm: LiveFarm) -> None:
    for path in (
        "",
        "config",
        "api/v2/masters",
        "api/kmodci/v1/runs",
        "kmodci/runs",
        "auth/login",
        "plugins/kmodci/scripts.js",
        "nowhere",
        "healthz",
        "avatar?email=x",
        "sse/listen/*/*/*",
    ):
        answer = ask(farm, path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors" in policy, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert answer.headers["Referrer-Policy"] == "same-origin", path
    front = ask(farm, "")
    [nonce] = re.findall(r"'nonce-([^']+)'", front.headers["Content-Security-Policy"])
    assert front.body.count(f'<script id="bb-config" nonce="{nonce}">') == 1
    assert nonce not in ask(farm, "").body
    # no script of a page but its files, and the one that has the number
    inline = [tag for tag in re.findall(r"<script[^>]*>", front.body) if "src=" not in tag]
    assert inline == [f'<script id="bb-config" nonce="{nonce}">']
    assert ask(farm, "avatar?email=x").headers["Content-Type"] == "image/svg+xml", "nobody else is asked for a face"


def test_who_comes_by_a_name_of_somebody_elses_reads_nothing(farm: LiveFarm) -> None:
    for host in ("evil.example", f"evil.example:{farm.port}", "127.0.0.1.evil.example", "", "[", "10.0.0.1"):
        for path in ("api/v2/builders", "kmodci/runs", "", "healthz"):
            answer = ask(farm, path, headers={"Host": host})
            assert (answer.status, "not called so" in answer.body) == (403, True), host
    for host in (f"localhost:{farm.port}", f"127.0.0.1:{farm.port + 1}", "[::1]:80"):
        assert ask(farm, "healthz", headers={"Host": host}).status != 403


def socket_status(farm: LiveFarm, **headers: str) -> int:
    """What opening a websocket is answered with."""
    asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    asked |= {"Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(), **headers}
    connection = http.client.HTTPConnection("127.0.0.1", farm.port, timeout=30)
    try:
        connection.request("GET", "/ws", headers=asked)
        return connection.getresponse().status
    finally:
        connection.close()


def test_events_are_for_this_farms_pages(farm: LiveFarm) -> None:
    assert socket_status(farm) == 101
    assert socket_status(farm, Origin=farm.url) == 101
    for origin in foreign(farm):
        assert socket_status(farm, Origin=origin) in (400, 403), origin
    for path in ("sse", "sse/listen/*/*/*", "sse/add/x/y"):
        assert ask(farm, path).status == 404


def test_a_removed_user_and_one_with_another_password_are_out_at_once(farm: LiveFarm, cookies: dict[str, str]) -> None:
    [scheduler, *_] = farm.get("schedulers")["schedulers"]
    users, path = Users(farm.state / "users.json"), f"schedulers/{scheduler['schedulerid']}"
    status, answer = farm.call(path, "enable", {"enabled": True}, cookie=cookies["gone"])
    assert status == 200, answer
    users.set_password("gone", "another than before")
    assert farm.call(path, "enable", {"enabled": False}, cookie=cookies["gone"])[0] == 403
    again = farm.log_in("gone", "another than before")
    assert farm.call(path, "enable", {"enabled": True}, cookie=again)[0] == 200
    users.set_role("gone", Role.READ)
    assert farm.call(path, "enable", {"enabled": False}, cookie=again)[0] == 403
    users.remove("gone")
    assert farm.call(path, "enable", {"enabled": False}, cookie=again)[0] == 403
    assert ask(farm, "auth/login", headers={"Authorization": "Basic !"}).status == 200, "the form, for what is no name"


def test_a_session_is_not_to_be_made_up(farm: LiveFarm) -> None:
    path = "forceschedulers/gc-force"
    head, claims, signature = farm.cookie.split("=", 1)[1].split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    for token in (
        f"{none}.{claims}.",
        f"{none}.{claims}.{signature}",
        f"{head}.{claims}x.{signature}",
        f"{head}.{claims}.",
    ):
        assert farm.call(path, "force", {}, cookie=f"TWISTED_SESSION={token}")[0] == 403


def test_who_asked_for_a_build_may_cancel_it_and_nobody_elses(farm: LiveFarm, cookies: dict[str, str]) -> None:
    mine, others = cookies["builder"], cookies["other"]
    first = farm.running()
    for build in first.values():
        farm.stop_build(build)
    # what waited runs now, and keeps both workers; what was stopped is held
    farm.until(lambda: len(now := farm.running()) == 2 and not set(now) & set(first))
    name = next(iter(first))
    module, _, kernel = name.partition("/")
    form: dict[str, object] = {"module": module, "kernel": kernel}

    status, answer = farm.call("forceschedulers/force", "force", {**form, "owner": "other"}, cookie=mine)
    assert status == 200, answer
    [request] = farm.until(lambda: farm.get("buildrequests?complete=false&claimed=false")["buildrequests"])
    place = f"buildrequests/{request['buildrequestid']}"
    assert farm.call(place, "cancel", {"reason": "no"}, cookie=others)[0] == 403
    assert farm.call(place, "set_priority", {"priority": 9}, cookie=mine)[0] == 403
    assert farm.call(place, "cancel", {"reason": "mine"}, cookie=mine)[0] == 200
    farm.until(lambda: not farm.get("buildrequests?complete=false&claimed=false")["buildrequests"])

    for build in farm.running().values():
        farm.stop_build(build)
    status, answer = farm.call("forceschedulers/force", "force", form, cookie=mine)
    assert status == 200, answer
    build = farm.until(lambda: farm.running().get(name))
    assert build["properties"]["owner"][0] == "builder"
    place = f"builds/{build['buildid']}"
    assert farm.call(place, "stop", {"reason": "no", "owner": "builder"}, cookie=others)[0] == 403
    assert not farm.is_complete(build)
    assert farm.call(place, "stop", {"reason": "mine"}, cookie=mine)[0] == 200
    farm.until(lambda: farm.is_complete(build))


def test_reading_may_take_a_login(farm: LiveFarm, cookies: dict[str, str]) -> None:
    settings = json.loads((farm.config / "kmodci.yml").read_text())
    farm.write("kmodci.yml", {**settings, "login": {"read": "login"}})
    assert "update complete" in farm.reconfigure()
    run = farm.runs.runs()[0]
    try:
        closed = {
            "api/v2/builders": 403,
            "api/v2/builds/1/steps/1/logs/stdio/raw": 403,
            "kmodci/runs": 303,
            f"kmodci/runs/{run.id}": 303,
            "kmodci/sources": 303,
            "api/kmodci/v1/runs": 401,
            "api/kmodci/v1/coverage": 401,
            "metrics": 401,
            "": 302,
            "sse/listen/*/*/*": 404,
        }
        for path, status in closed.items():
            answer = ask(farm, path)
            assert (answer.status, run.id in answer.body) == (status, False), path
        assert ask(farm, "kmodci/runs").headers["Location"] == "../auth/login?redirect=kmodci%2Fruns"
        assert ask(farm, "").headers["Location"] == f"{farm.url}/auth/login"
        assert socket_status(farm) == 403
        # who may log in, and what says whether the farm is well
        assert ask(farm, "auth/login").status == 200 and ask(farm, "healthz").status in (200, 503)

        reader = {"Cookie": cookies["reader"]}
        for path in ("api/v2/builders", "kmodci/runs", "api/kmodci/v1/runs", "metrics", ""):
            assert ask(farm, path, headers=reader).status == 200, path
        assert socket_status(farm, **reader) == 101
        # a cookie reads, and does not build
        built = json.dumps({"module": "first", "kernel": run.id})
        assert ask(farm, "api/kmodci/v1/builds", headers={**reader, "Content-Type": JSON}, body=built).status != 202
    finally:
        farm.write("kmodci.yml", settings)
        farm.reconfigure()


def test_a_build_log_is_text(farm: LiveFarm) -> None:
    name = next(name for name in farm.store.outcomes() if name.startswith("aloud/"))
    [build] = farm.builds(name)
    [step] = [step for step in farm.get(f"builds/{build['buildid']}/steps")["steps"] if step["name"] == "build"]
    at = f"api/v2/builds/{build['buildid']}/steps/{step['number']}/logs/stdio"
    assert "end-of-it" in farm.step_log(build, "build")
    for path in (f"{at}/raw", f"{at}/raw_inline"):
        answer = ask(farm, path)
        assert answer.status == 200 and "<script>" in answer.body
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    with chromium() as browser, shown(browser) as window:
        page, asked = window.page, []
        page.on("dialog", lambda dialog: asked.append(dialog.message))
        for place in (
            f"#/builders/{build['builderid']}/builds/{build['number']}/steps/{step['number']}/logs/stdio",
            f"{at}/raw_inline",
        ):
            page.goto(f"{farm.url}/{place}")
            page.get_by_text("end-of-it").first.wait_for()
            assert page.get_by_text("onerror").count(), "it is there to be read"
            assert page.locator("img[src=x], a[href^=javascript], script:not([src]):not(#bb-config)").count() == 0
            assert page.title() not in ("1", "2", "owned")
        assert (asked, window.faults) == ([], [])


def test_nothing_secret_is_in_the_logs(farm: LiveFarm, cookies: dict[str, str]) -> None:
    """After all of that."""
    logged = farm.log + "".join(path.read_text() for path in (farm.state / "master").glob("http.log*"))
    secret = [farm.paths.first_password.read_text().strip(), *PASSWORDS.values(), farm.cookie.split(".")[-1]]
    secret += [cookie.split(".")[-1] for cookie in cookies.values() if cookie]
    for text in secret:
        assert text not in logged
        assert base64.b64encode(f"builder:{text}".encode()).decode() not in logged
    assert "builder logs in from 127.0.0.1" in logged
    for name in ("password", "users.json"):
        assert (farm.state / name).stat().st_mode & 0o077 == 0
