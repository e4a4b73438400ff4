"""The HTTP API on a real server: what is answered, who may ask, and what is not understood."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kmodci.board import Board
from kmodci.bot.api.vitals import Examiner
from kmodci.errors import StoreError
from kmodci.health import LATE_BOARD
from kmodci.model import Status
from kmodci.ondemand import answer
from kmodci.tokens import May
from support.apisite import (
    BUILT,
    CANCELLED,
    FAILED,
    QUEUED,
    RELEASE,
    RUN,
    RUNNING,
    UNAVAILABLE,
    Site,
    a_board,
    api_site,
    with_token,
)
from support.boards import published_of
from twisted.internet import defer, reactor, task

T = TypeVar("T")
ASKED = {"module": "loop", "distro": "debian", "series": "bookworm", "arch": "amd64", "kernel_release": RELEASE}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with api_site(tmp_path_factory.mktemp("api")) as made:
        yield made


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Behind a proxy on this machine."""
    with api_site(tmp_path_factory.mktemp("proxied"), proxies=["127.0.0.0/8"]) as made:
        yield made


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    return with_token(site)


@pytest.fixture(autouse=True)
def nothing_asked(site: Site) -> None:
    site.scheduler.asked.clear()


def boxed(work: Callable[..., T], *arguments: object) -> tuple[T]:
    """What comes of it, if that is a Deferred: else who asks the reactor waits for it."""
    return (work(*arguments),)


def asked(name: str, **more: object) -> dict[str, object]:
    module, target, release = name.split("/")
    distro, series, arch = target.split("-")
    return {"module": module, "distro": distro, "series": series, "arch": arch, "kernel_release": release, **more}


class TestAsking:
    def test_what_is_built_is_told_with_what_to_fetch(self, site: Site) -> None:
        status, found = site.told("builds", ASKED)
        assert (status, found["status"], found["build_id"]) == (200, "built", BUILT)
        [file] = found["files"]
        assert file["url"].endswith(f"modules/loop/1.0/debian/bookworm/amd64/{RELEASE}/loop.ko")
        assert (len(file["sha256"]), file["vermagic"].split()[0]) == (64, RELEASE)
        assert found["manifest"].startswith("http://farm.example.org/ci/") and "manifest.json" in found["manifest"]
        assert (found["toolchain"], found["exact"], found["finished"]) == ("gcc-12", True, 1_700_000_000.0)
        assert site.told("builds", ASKED) == (status, found)
        assert site.told(f"builds/{found['id']}") == (200, found)

    @pytest.mark.parametrize(
        "other",
        [{"series": "12"}, {"arch": "x86_64"}, {"series": None}, {"version": "1.0"}, {"series": "trixie"}],
        ids=str,
    )
    def test_a_node_says_it_as_it_knows_it(self, site: Site, other: dict[str, object]) -> None:
        sent = {name: value for name, value in {**ASKED, **other}.items() if value is not None}
        assert site.told("builds", sent)[1]["id"] == site.told("builds", ASKED)[1]["id"]

    def test_what_is_not_built_yet_is_put_before_the_rest_once_it_is_asked_for(self, site: Site, token: str) -> None:
        status, headers, text = site.ask("builds", asked(QUEUED), token=token)
        found = json.loads(text)
        assert (status, found["status"], found["place"]) == (202, "pending", 1)
        assert headers["Location"] == found["status_url"] and int(headers["Retry-After"]) > 0
        assert "%2B" in headers["Location"]
        assert site.scheduler.asked == [(QUEUED, "token node", False)]
        again = json.loads(site.ask("builds", asked(QUEUED), token=token)[2])
        assert again["id"] == found["id"]

    def test_who_has_no_token_is_told_what_is_coming_and_hurries_nothing(self, site: Site) -> None:
        told = site.told("builds", asked(QUEUED))[1]
        # 12.5 s each, two at once, of which one runs
        assert (told["place"], told["eta_seconds"]) == (3, 25)
        assert site.told("builds", asked(RUNNING))[1]["status"] == "running"
        assert site.scheduler.asked == []

    @pytest.mark.parametrize("name", [CANCELLED, FAILED, UNAVAILABLE, BUILT])
    def test_what_has_to_be_asked_for_takes_a_token_that_may(self, site: Site, token: str, name: str) -> None:
        sent = asked(name, rebuild=name != CANCELLED)
        status, headers, text = site.ask("builds", sent)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), text
        reader = with_token(site, May.READ, f"reader-{name.rpartition('-')[0][-2:]}")
        assert site.told("builds", sent, token=reader)[0] == 403
        assert site.scheduler.asked == []
        status, found = site.told("builds", sent, token=token)
        assert (status, found["status"]) == (202, "pending")
        assert site.scheduler.asked == [(name, "token node", name != CANCELLED)]

    def test_what_was_cancelled_and_is_asked_for_is_coming(self, site: Site, token: str) -> None:
        assert site.told("builds", asked(CANCELLED))[0] == 401
        assert site.told("builds", asked(CANCELLED), token=token)[0] == 202
        assert site.told("builds", asked(CANCELLED))[0] == 202

    def test_what_is_asked_for_again_is_pending_until_it_has_ended_again(self, site: Site, token: str) -> None:
        """Or who polls would take how it ended before for how it has ended."""
        for name in (BUILT, FAILED):
            identity = site.told("builds", asked(name, rebuild=True), token=token)[1]["id"]
            polled = site.told(f"builds/{identity}")[1]
            assert (polled["status"], bool(polled["files"])) == ("pending", name == BUILT)
            site.scheduler.asked.clear()
            site.behind.add(name)
            assert site.told(f"builds/{identity}")[1]["status"] == "pending"
            # what is published is there for nodes meanwhile
            assert site.told("builds", asked(name))[0] == (200 if name == BUILT else 202)
            site.behind.clear()
            assert site.told(f"builds/{identity}")[1]["status"] == ("built" if name == BUILT else "failed")

    def test_what_has_just_ended_is_not_asked_for_again(self, site: Site, token: str) -> None:
        """The board has it as queued still: it would be built a second time."""
        site.behind.add(QUEUED)
        try:
            assert site.told("builds", asked(QUEUED), token=token)[0] == 202
            assert site.scheduler.asked == []
            assert site.told("builds", asked(QUEUED, rebuild=True), token=token)[0] == 202
            assert site.scheduler.asked == [(QUEUED, "token node", True)]
            # what was cancelled has ended as well, and is not built unless it is asked for
            site.behind.add(CANCELLED)
            assert site.told("builds", asked(CANCELLED), token=token)[0] == 202
            assert site.scheduler.asked[1:] == [(CANCELLED, "token node", False)]
        finally:
            site.behind.clear()

    def test_what_runs_is_not_asked_for_again(self, site: Site, token: str) -> None:
        assert site.told("builds", asked(RUNNING, rebuild=True), token=token)[0] == 202
        assert site.scheduler.asked == []

    @pytest.mark.parametrize(
        ("name", "state", "reason"),
        [
            (FAILED, "failed", "loop.c:1: error: so it is"),
            (UNAVAILABLE, "unavailable", "header package gone"),
            ("loop/debian-trixie-arm64/6.12.117+deb13-arm64", "skipped", "needs an fpu"),
            ("loop/debian-sid-amd64/7.2.11+deb14-amd64", "outside", "scope"),
        ],
    )
    def test_what_is_not_built_says_why(self, site: Site, token: str, name: str, state: str, reason: str) -> None:
        if state == "outside":
            board = site.keeper.board
            name = next(f"loop/{key}" for key in board.kernels if f"loop/{key}" not in board.standings and "sid" in key)
        status, found = site.told("builds", asked(name), token=token)
        error = found["error"]
        assert (status, error["status"]) == (409, state)
        assert reason in error["reason"] and reason in error["message"] and error["hint"]
        assert error["log_url"].endswith("/log") and error["others"] == []
        if state in ("skipped", "outside"):
            assert site.told("builds", asked(name, rebuild=True), token=token)[0] == 409
        assert site.scheduler.asked == []
        # and a poller has one shape for all
        polled, seen = site.told(f"builds/{error['id']}")
        assert (polled, seen["status"], seen["reason"]) == (200, state, error["reason"])

    def test_the_unknown_is_told_with_the_nearest(self, site: Site) -> None:
        status, found = site.told("builds", {**ASKED, "kernel_release": "6.1.0-5O-amd64"})
        assert status == 404
        assert len(found["error"]["nearest"]) == 4
        assert all(name.startswith("debian-bookworm-amd64/6.1.0-5") for name in found["error"]["nearest"])
        status, found = site.told("builds", {**ASKED, "module": "lop"})
        assert (status, found["error"]["nearest"]) == (404, ["loop"])
        assert site.told("builds", {**ASKED, "version": "0.9"})[0] == 404
        assert site.told("builds", {**ASKED, "distro": "fedora"})[0] == 404

    def test_older_versions_are_told_and_found(self, tmp_path: Path) -> None:
        board = a_board()
        entry = board.standings[FAILED].entry
        older = {("loop", "0.9"): {FAILED: published_of(entry, "0.9")}}
        with api_site(tmp_path, replace(board, published={**board.published, **older})) as site:
            assert site.told("builds", asked(FAILED))[1]["error"]["others"] == ["0.9"]
            status, found = site.told("builds", asked(FAILED, version="0.9"))
            assert (status, found["version"]) == (200, "0.9")
            status, found = site.told("builds", asked(FAILED, version="0.9", rebuild=True), token=with_token(site))
            assert (status, "0.9" in found["error"]["message"]) == (409, True)
            assert site.scheduler.asked == []

    def test_a_farm_that_does_not_know_yet_says_when_to_ask_again(self, tmp_path: Path) -> None:
        with api_site(tmp_path, replace(a_board(), is_whole=False)) as site:
            assert site.told("builds", ASKED)[0] == 200
            status, headers, text = site.ask("builds", {**ASKED, "kernel_release": "9.9"})
            assert (status, int(headers["Retry-After"]) > 0, "sources" in text) == (503, True, True)
            assert site.told("builds", {**ASKED, "module": "other"})[0] == 404
            unread = replace(a_board(), versions={}, keys={})
            site.keeper.board = unread
            assert site.told("builds", asked(QUEUED), token=with_token(site))[0] == 503
            assert site.scheduler.asked == []
            site.keeper.board = Board()
            assert {site.ask(path)[0] for path in ("coverage", "kernels", "builds/x,1,a-b-c,1")} == {503}
            assert site.told("builds", ASKED)[0] == 503

    def test_what_the_farm_cannot_do_now_is_no_build_of_the_tokens(self, tmp_path: Path) -> None:
        with api_site(tmp_path, queue=1) as site:
            token = with_token(site)
            site.scheduler.fails = StoreError("the database is away")
            assert site.told("builds", asked(QUEUED), token=token)[0] == 503
            site.scheduler.fails = None
            assert site.told("builds", asked(CANCELLED), token=token)[0] == 202


class TestLimits:
    def test_a_token_has_so_many_builds_waiting_and_no_more(self, tmp_path: Path) -> None:
        with api_site(tmp_path, queue=2) as site:
            token = with_token(site)
            # from before the master was started
            site.scheduler.before = {UNAVAILABLE: "token node"}
            assert site.told("builds", asked(QUEUED), token=token)[0] == 202
            status, headers, _ = site.ask("builds", asked(CANCELLED), token=token)
            assert (status, int(headers["Retry-After"]) > 0) == (429, True)
            assert site.told("builds", asked(QUEUED), token=token)[0] == 202, "the same again"
            assert site.told("builds", asked(CANCELLED), token=with_token(site, name="other"))[0] == 202
            site.scheduler.before = {}
            assert site.told("builds", asked(CANCELLED), token=token)[0] == 202, "one of them has ended"

    def test_nor_if_it_asks_for_all_of_them_at_once(self, tmp_path: Path) -> None:
        with api_site(tmp_path, queue=1) as site, ThreadPoolExecutor(1) as pool:
            token, gate = with_token(site), defer.Deferred[None]()
            site.scheduler.gate = gate
            first = pool.submit(site.told, "builds", asked(QUEUED), token=token)
            try:
                assert site.scheduler.waiting.wait(20)
                site.scheduler.gate = None
                assert site.told("builds", asked(CANCELLED), token=token)[0] == 429
            finally:
                site.in_reactor(gate.callback, None)
            assert first.result()[0] == 202
            assert [name for name, _, _ in site.scheduler.asked] == [QUEUED]

    def test_what_users_of_the_pages_asked_for_is_no_tokens(self, tmp_path: Path) -> None:
        with api_site(tmp_path, queue=1) as site:
            site.scheduler.before = {UNAVAILABLE: "node"}
            assert site.told("builds", asked(QUEUED), token=with_token(site))[0] == 202

    def test_who_asks_too_often_is_told_when_to_ask_again(self, tmp_path: Path) -> None:
        with api_site(tmp_path, rate=1, burst=3, proxies=["10.0.0.0/8"]) as site:
            token = with_token(site)
            answers = [site.ask("builds", ASKED) for _ in range(5)]
            assert [status for status, _, _ in answers] == [200, 200, 200, 429, 429]
            assert all(int(headers["Retry-After"]) >= 1 for status, headers, _ in answers if status == 429)
            # this one's own; and who is no proxy of ours says nothing of whom it asks for
            assert site.told("builds", ASKED, token=token)[0] == 200
            assert site.told("builds", ASKED, headers={"X-Forwarded-For": "192.0.2.1"})[0] == 429
            assert site.told("builds", ASKED, token="kmodci_wrong")[0] == 429, "wrong ones are of the address"

    def test_what_is_not_there_costs_more_until_it_is_known(self, tmp_path: Path) -> None:
        with api_site(tmp_path, rate=1, burst=100, proxies=["127.0.0.0/8"]) as site:
            node, other = ({"X-Forwarded-For": f"192.0.2.{number}"} for number in (1, 2))
            missing = [{**ASKED, "kernel_release": f"6.1.0-{number}-amd65"} for number in range(60)]
            statuses = [site.ask("builds", each, headers=node)[0] for each in missing]
            assert statuses[:9] == [404] * 9 and 429 in statuses
            # another asks for one of these, which is known by now
            assert [site.ask("builds", missing[0], headers=other)[0] for _ in range(60)] == [404] * 60

    def test_the_nearest_are_found_in_a_thread_and_for_one_after_the_other(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The reactor answers others meanwhile; the same question is looked for once."""
        begun, let_go, found = threading.Event(), threading.Event(), []

        def slow(*given: object) -> object:
            found.append(given)
            begun.set()
            assert let_go.wait(20)
            return answer(*given)  # type: ignore[arg-type] # as it is called

        monkeypatch.setattr("kmodci.bot.api.misses.answer", slow)
        paths = [f"builds/loop,1.0,debian-bookworm-amd64,6.1.0-{number}-amd66" for number in (1, 1, 2)]
        with ThreadPoolExecutor(3) as pool:
            try:
                asked_for = [pool.submit(site.told, path) for path in paths]
                assert begun.wait(20)
                assert site.told("builds", ASKED)[0] == 200
                assert len(found) == 1
            finally:
                let_go.set()
            answers = [each.result() for each in asked_for]
        assert [status for status, _ in answers] == [404] * 3
        assert answers[0] == answers[1] != answers[2] and len(found) == 2

    def test_who_a_proxy_asks_for_counts_by_itself(self, tmp_path: Path) -> None:
        with api_site(tmp_path, rate=1, burst=1, proxies=["127.0.0.0/8"]) as site:
            for node in ("192.0.2.1", "192.0.2.2"):
                statuses = [site.ask("kernels", headers={"X-Forwarded-For": f"made up, {node}"})[0] for _ in range(2)]
                assert statuses == [200, 429]

    def test_bodies_have_a_limit(self, site: Site, token: str) -> None:
        status, found = site.told("builds", b"x" * (64 * 1024 + 1), token=token)
        assert (status, "65536" in found["error"]["message"]) == (413, True)

    @pytest.mark.parametrize("path", ["/api/kmodci/v1/builds", "/%61pi/kmodci/v1/builds"])
    @pytest.mark.parametrize("head", ["Content-Length: 65537", "Transfer-Encoding: chunked"])
    def test_a_body_without_an_end_is_not_read_to_its_end(self, site: Site, head: str, path: str) -> None:
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
            chunk = b"%x\r\n" % (1 << 20) + b"x" * (1 << 20) + b"\r\n"
            try:
                if "chunked" in head:
                    # far from what others may send; and no end is sent
                    connection.sendall(chunk)
            except ConnectionError:
                pass
            try:
                answer = connection.recv(100)
            except ConnectionResetError:
                answer = b""
        assert answer.startswith(b"HTTP/1.1 413") or ("chunked" in head and not answer)


class TestWhoAsks:
    def test_reading_may_take_a_token(self, tmp_path: Path) -> None:
        with api_site(tmp_path, read="login") as site:
            reader = with_token(site, May.READ, "reader")
            paths = (
                "coverage",
                "coverage/builds",
                "kernels",
                "sources",
                "hosts",
                "runs",
                f"runs/{RUN}",
                "builds/x",
                "/metrics",
            )
            for path in paths:
                status, headers, text = site.ask(path)
                assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), path
                assert "loop" not in text
                assert site.ask(path, token=reader)[0] in (200, 404), path
            status, headers, text = site.ask("builds", ASKED)
            assert (status, headers["WWW-Authenticate"], "loop" in text) == (401, "Bearer", False), "POST tells as much"
            assert site.ask("builds", ASKED, token=reader)[0] == 200
            assert site.ask("openapi.json")[0] == 200
            status, found = site.told("/healthz")
            assert (status, found["problems"][:2]) == (503, ["bucket", "engine"])
            assert not any(sign in problem for problem in found["problems"] for sign in "/: ")
            assert any(str(site.folder) in problem for problem in site.told("/healthz", token=reader)[1]["problems"])

    def test_a_wrong_token_is_refused_and_no_token_is_logged(self, site: Site, token: str) -> None:
        wrong = "kmodci_thisisverywrong"
        for shown in (wrong, f"{token}x", token[:-1], token.lower(), "", "é", "x" * 10_000):
            status = site.ask("builds", ASKED, headers={"Authorization": f"Bearer {shown}".encode().decode("latin-1")})[
                0
            ]
            assert status == 401, shown[:50]
        assert site.told("builds", ASKED, headers={"Authorization": "Basic eDp5"})[0] == 200
        assert site.told("builds", ASKED, token=token)[0] == 200
        logged = (site.folder / "http.log").read_text()
        assert "/api/kmodci/v1/builds" in logged
        assert wrong not in logged and token not in logged

    def test_a_token_that_is_removed_is_none_at_once(self, site: Site) -> None:
        shown = with_token(site, name="short-lived")
        assert site.told("builds", ASKED, token=shown)[0] == 200
        site.tokens.remove("short-lived")
        assert site.told("builds", ASKED, token=shown)[0] == 401

    def test_a_file_of_tokens_that_cannot_be_read_lets_nobody_in(self, tmp_path: Path) -> None:
        with api_site(tmp_path) as site:
            shown = with_token(site)
            site.tokens.path.write_text('{"tokens": [{"name": "verysecret')
            status, _, text = site.ask("builds", ASKED, token=shown)
            assert (status, "verysecret" in text) == (503, False)
            assert site.told("builds", ASKED)[0] == 200

    @pytest.mark.parametrize("origin", ["https://evil.example.org", "null", "", "http://farm.example.org.evil.org"])
    def test_a_page_of_another_site_asks_for_nothing(self, site: Site, token: str, origin: str) -> None:
        for shown in ("", token):
            status, _, _ = site.ask("builds", asked(QUEUED), token=shown, headers={"Origin": origin})
            assert status == 403
        assert site.scheduler.asked == []
        own = {"Origin": "http://farm.example.org"}
        assert site.told("builds", asked(QUEUED), token=token, headers=own)[0] == 202

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
    def test_a_form_is_no_question(self, site: Site, token: str, kind: str) -> None:
        sent = json.dumps(asked(QUEUED)).encode()
        status, _, _ = site.ask("builds", sent, token=token, headers={"Content-Type": kind})
        assert status == 415
        assert site.scheduler.asked == []
        assert "Access-Control-Allow-Origin" not in site.ask("builds", method="OPTIONS")[1]


class TestWhatIsNotUnderstood:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("module", "../loop"),
            ("module", 5),
            ("module", None),
            ("module", ["loop"]),
            ("version", "1.0\r\nLocation: http://evil.example.org"),
            ("version", "1..0"),
            ("version", ""),
            ("distro", "debian-x"),
            ("series", "a/b"),
            ("arch", "amd64;reboot"),
            ("kernel_release", "../../etc/passwd"),
            ("kernel_release", "6" * 10_000),
            ("kernel_release", "6.1\n"),
            ("kernel_release", "$(id)"),
            ("kernel_release", "\uff16.1"),
            ("rebuild", "yes"),
            ("rebuild", 1),
            ("priority", 5),
            ("__class__", "x"),
        ],
    )
    def test_each_field_that_is_wrong_is_named(self, site: Site, token: str, field: str, value: object) -> None:
        status, found = site.told("builds", {**ASKED, field: value}, token=token)
        assert (status, [*found["error"]["fields"]]) == (422, [field])
        assert len(json.dumps(found)) < 2000

    def test_all_of_them_at_once(self, site: Site) -> None:
        status, found = site.told("builds", {"module": 1, "nothing": 2})
        assert status == 422
        fields = {"module", "nothing", "distro", "arch", "kernel_release"}
        assert found["error"]["fields"].keys() == fields

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff\xfe", b"[" * 60_000, b'{"a":' * 10_000, b"{" + b" " * 60_000],
        ids=lambda body: f"{body[:5]!r} of {len(body)}",
    )
    def test_what_is_no_json_is_told_so(self, site: Site, token: str, body: bytes) -> None:
        assert site.told("builds", body, token=token)[0] == 422

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("", 404),
            ("other", 404),
            ("builds/", 404),
            ("builds/x", 404),
            ("builds/..%2f..%2fetc%2fpasswd", 404),
            ("builds/%00", 404),
            ("builds/%ff%fe", 404),
            ("builds/loop,1.0,debian-bookworm-amd64,6.1%0d%0aX-Evil:%20yes", 404),
            (f"builds/loop,1.0,debian-bookworm-amd64,{'6' * 10_000}", 404),
            (f"builds/loop,1.0,debian-bookworm-amd64,{RELEASE}/other", 404),
            # the bucket, which has what is published, is away; of what was never built there is none
            (f"builds/loop,1.0,debian-bookworm-amd64,{RELEASE}/log", 503),
            ("builds/loop,1.0,debian-bookworm-amd64,6.1.0-56-amd64/log", 404),
            (f"builds/loop,1.0,debian-bookworm-amd64,{RELEASE}/log?offset=-1", 422),
            (f"builds/loop,1.0,debian-bookworm-amd64,{RELEASE}/log?offset=1e99", 422),
            (f"builds/loop,1.0,debian-bookworm-amd64,{RELEASE}?a=1", 422),
            ("coverage?status=good", 422),
            ("coverage?module=a&module=b", 422),
            ("coverage?module=%ff", 422),
            ("coverage?builds=perhaps", 422),
            ("kernels?release=..", 422),
            ("runs?limit=0", 422),
            ("runs?limit=9999999", 422),
            ("runs/..", 404),
            ("runs/2020-01-01-000000", 404),
            (f"runs/{RUN}?ending=x", 422),
            ("sources?token=x", 422),
            ("/healthz?x=1", 422),
            ("/metrics/x", 404),
        ],
    )
    def test_every_other_endpoint(self, site: Site, path: str, status: int) -> None:
        answered, headers, text = site.ask(path)
        assert answered == status
        assert json.loads(text)["error"]["message"] and "Traceback" not in text and len(text) < 2000
        assert headers["Content-Type"] == "application/json" and headers["X-Content-Type-Options"] == "nosniff"
        assert "X-Evil" not in headers

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"])
    def test_methods_that_there_are_not(self, site: Site, method: str) -> None:
        for path, allowed in {"builds": "POST", "kernels": "GET, HEAD"}.items():
            status, headers, text = site.ask(path, method=method)
            assert (status, headers["Allow"]) == (405, allowed)
            assert "error" in text
        assert site.ask("builds")[0] == 405
        assert site.ask("kernels", {})[0] == 405

    @settings(max_examples=150, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(
        st.dictionaries(
            st.sampled_from([*ASKED, "version", "rebuild", "x"]),
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.lists(st.text())
            | st.sampled_from(["loop", "debian", "bookworm", "amd64", RELEASE, "../x", "a\r\nb: c", "x" * 10_000]),
        )
    )  # fmt: skip
    def test_nothing_breaks_it(self, site: Site, sent: dict[str, object]) -> None:
        """Who has no token has nothing built, whatever is sent."""
        status, headers, text = site.ask("builds", json.dumps(sent).encode("utf-8", "surrogatepass"))
        assert status in (200, 202, 401, 404, 409, 422), text
        assert headers["Content-Type"] == "application/json" and json.loads(text)
        assert site.scheduler.asked == []

    @settings(max_examples=150, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(st.binary(max_size=200))
    def test_nor_does_any_path(self, site: Site, data: bytes) -> None:
        path = "/api/kmodci/v1/builds/" + "".join(f"%{byte:02x}" for byte in data)
        status, _, text = site.ask(path)
        assert status in (404, 405) and json.loads(text)

    @pytest.mark.parametrize("name", ["Authorization", "X-Forwarded-For", "Origin", "Content-Type"])
    @settings(max_examples=25, derandomize=True, suppress_health_check=[*HealthCheck])
    @given(value=st.binary(max_size=40).map(lambda data: data.translate(None, b"\r\n\0")))
    @example(value=b"\xff")
    @example(value=b"Bearer \xff\xfe")
    def test_nor_does_any_header(self, proxied: Site, name: str, value: bytes) -> None:
        status, headers, text = proxied.ask("builds", ASKED, headers={name: value})
        assert status in (200, 401, 403, 415), text
        assert headers["Content-Type"] == "application/json" and json.loads(text)


class TestReading:
    def test_coverage_counts_and_groups(self, site: Site) -> None:
        _, found = site.told("coverage")
        board = site.keeper.board
        assert found["counts"]["total"] == len(board.standings) == sum(row["counts"]["total"] for row in found["rows"])
        assert (found["counts"]["built"], found["running"], found["builds"]) == (1, 1, None)
        causes = {each["cause"]: each for each in found["causes"]}
        assert [each["builds"] for cause, each in causes.items() if "so it is" in cause] == [[FAILED]]
        assert causes["cancelled by somebody"]["status"] == "pending"
        _, some = site.told("coverage?series=bookworm&arch=x86_64&builds=true")
        assert {each["build_id"].split("/")[1] for each in some["builds"]} == {"debian-bookworm-amd64"}
        for status, names in {"failed": [FAILED], "running": [RUNNING], "built": [BUILT]}.items():
            _, found = site.told(f"coverage/builds?status={status}")
            assert [(each["build_id"], each["status"]) for each in found["builds"]] == [
                (name, status) for name in names
            ]
        assert site.told("coverage/builds?module=scap")[1]["builds"] == []

    def test_coverage_is_of_the_versions_that_sources_are_at(self, site: Site) -> None:
        assert site.told("coverage?version=1.0")[1]["counts"] == site.told("coverage")[1]["counts"]
        for path in ("coverage", "coverage/builds"):
            status, found = site.told(f"{path}?module=loop&version=2.0")
            assert (status, "2.0" in found["error"]["message"], "loop 1.0" in found["error"]["hint"]) == (
                404,
                True,
                True,
            )

    def test_a_series_is_said_as_a_node_knows_it(self, site: Site) -> None:
        for path, what in (("coverage/builds", "builds"), ("kernels", "kernels")):
            named = site.told(f"{path}?distro=debian&series=bookworm")[1][what]
            assert named
            for query in ("distro=debian&series=12", "series=12", "series=12&distro=debian&arch=x86_64"):
                found = site.told(f"{path}?{query}")[1][what]
                assert found == [each for each in named if "arch" not in query or "amd64" in json.dumps(each)], query
            status, found = site.told(f"{path}?distro=ubuntu&series=99.04")
            assert (status, [*found["error"]["fields"]]) == (422, ["series"])
            assert site.told(f"{path}?distro=opensuse-leap&series=15.6")[1][what] == []

    def test_kernels_are_listed_with_what_is_built_for_them(self, site: Site) -> None:
        _, found = site.told("kernels")
        assert len(found["kernels"]) == len(site.keeper.board.kernels)
        _, found = site.told(f"kernels?distro=debian&series=bookworm&arch=amd64&release={RELEASE}")
        [kernel] = found["kernels"]
        assert (kernel["flavour"], kernel["toolchain"], kernel["builds"]) == ("amd64", "gcc-12", {"loop": "built"})
        assert (kernel["gone"], kernel["appeared"]) == (None, None)

    def test_hosts(self, site: Site) -> None:
        _, found = site.told("hosts")
        [host] = found["hosts"]
        assert (host["host"], host["standing"], host["workers"], host["running"]) == ("local", "unasked", 2, 0)

    def test_sources_and_runs(self, site: Site) -> None:
        _, found = site.told("sources")
        assert found["sources"][0]["name"] == "bookworm main" and found["sources"][0]["health"] == "failing"
        _, one = site.told("sources?name=bookworm+main")
        assert [each["error"] for each in one["sources"]] == ["bookworm main: it is away"]
        [run] = site.told("runs")[1]["runs"]
        assert (run["id"], run["planned"], run["left"]) == (RUN, 1, 1)
        _, whole = site.told(f"runs/{RUN}")
        assert [each["build_id"] for each in whole["builds"]] == [BUILT]
        assert site.told(f"runs/{RUN}?ending=failed")[1]["builds"] == []

    def test_an_answer_is_of_the_board_that_there_is(self, tmp_path: Path) -> None:
        with api_site(tmp_path) as site:
            assert site.told("builds", asked(FAILED))[0] == 409
            before = site.told("coverage")[1]
            assert site.told("builds", ASKED)[0] == 200
            site.keeper.board = replace(a_board(), published={})
            assert site.told("builds", ASKED)[0] == 202
            assert site.told("coverage")[1]["counts"] == before["counts"]

    def test_what_is_out_of_date_is_not_told(self, tmp_path: Path) -> None:
        with api_site(tmp_path, a_board(made=time.time() - LATE_BOARD - 1)) as site:
            identity = f"loop,1.0,debian-bookworm-amd64,{RELEASE}"
            for path in ("coverage", "kernels", f"builds/{identity}"):
                status, headers, text = site.ask(path)
                assert (status, int(headers["Retry-After"]) > 0, "healthz" in text) == (503, True, True), path
            assert site.told("builds", ASKED)[0] == 503
            assert site.ask("runs")[0] == 200, "from the database"
            site.keeper.board = a_board()
            assert site.told("builds", ASKED)[0] == 200

    def test_what_several_ask_for_is_made_once_and_costs_more(self, tmp_path: Path) -> None:
        with api_site(tmp_path, rate=1, burst=100) as site:
            begun, let_go, made = threading.Event(), threading.Event(), []
            endpoint = site.api.root.children[b"v1"].children[b"kernels"]
            told = endpoint._told

            def slow(*given: object) -> object:
                made.append(given)
                begun.set()
                assert let_go.wait(20)
                return told(*given)

            endpoint._told = slow
            with ThreadPoolExecutor(4) as pool:
                asked_for = [pool.submit(site.ask, "kernels") for _ in range(4)]
                try:
                    assert begun.wait(20)
                    # while that is made, what needs no thread, and what has its own, are answered
                    assert site.ask("builds", ASKED)[0] == 200
                    assert site.ask("/metrics")[0] == 200
                finally:
                    let_go.set()
                assert len({each.result()[2] for each in asked_for}) == 1
            assert len(made) == 1
            # what nobody asked for before costs more than what is known
            statuses = [site.ask(f"kernels?release=6.{number}")[0] for number in range(40)]
            assert statuses[0] == 200 and 429 in statuses

    def test_heads_have_no_bodies(self, site: Site) -> None:
        for path in ("kernels", "openapi.json"):
            status, headers, text = site.ask(path, method="HEAD")
            assert (status, text, int(headers["Content-Length"]) > 1000) == (200, "", True)


class TestStatus:
    def test_what_is_wrong_is_told_in_words(self, site: Site) -> None:
        status, found = site.told("/healthz")
        assert (status, found["healthy"]) == (503, False)
        parts = {problem.partition(":")[0] for problem in found["problems"]}
        assert {"bucket", "engine"} <= parts and "database" not in parts
        assert "verysecret" not in json.dumps(found)

    def test_a_part_that_hangs_keeps_nobody(self, site: Site) -> None:
        examiner, let_go = Examiner(site.api.health.context), threading.Event()
        clock = task.Clock()
        examiner.context.master.reactor = clock
        try:
            waiting = [site.in_reactor(boxed, examiner._asked, "engine", let_go.wait)[0] for _ in range(50)]
            part = examiner._parts["engine"]
            assert len(part.waiting) == 50 and not any(each.called for each in waiting)
            site.in_reactor(clock.advance, 5.0)
            assert len(part.waiting) == 0 and all(each.called for each in waiting)
            part.began -= 5.0
            [late] = site.in_reactor(boxed, examiner._asked, "engine", let_go.wait)
            assert late.called and len(part.waiting) == 0
            assert "has not answered for" in examiner._fault("engine")
        finally:
            examiner.context.master.reactor = reactor
            let_go.set()

    def test_metrics_are_few_and_tell_the_farm(self, site: Site) -> None:
        site.ask("builds", ASKED)
        status, headers, text = site.ask("/metrics")
        assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/plain")
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert "kmodci_healthy 0.0" in lines and "kmodci_running 1.0" in lines and "kmodci_queue_length 1.0" in lines
        assert 'kmodci_builds{status="built",target="debian-bookworm-amd64"} 1.0' in lines
        assert 'kmodci_source_failing{source="bookworm main"} 1.0' in lines
        assert any(line.startswith('kmodci_api_answers_total{status="200"}') for line in lines)
        assert any(line.startswith("process_resident_memory_bytes") for line in lines)
        targets = {each.entry.kernel.target for each in site.keeper.board.standings.values()}
        assert len([line for line in lines if line.startswith("kmodci_builds{")]) == 6 * len(targets)
        assert Status.BUILT in text
