"""The client of the HTTP API: what it asks, what it takes for an answer, and what it says of everything else."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.webserver import Handler, cut, endless, page, redirect, status
from kmodci.apiclient import ApiClient, Wanted
from kmodci.apiserver import Server
from kmodci.errors import FarmAway, KmodciError, NotFound, Refused
from support.apifarm import API, ASKED, BUILD, FILE, ID, QUOTED, ApiFarm, Reply, build_told, refusal
from support.farm import free_ports

TOKEN = "t" * 43
WANTED = Wanted(module="loop", distro="debian", series="sid", arch="amd64", kernel_release="7.2.13+deb14-amd64")


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[ApiFarm]:
    with ApiFarm(tmp_path) as farm:
        yield farm


@pytest.fixture
def client(farm: ApiFarm) -> ApiClient:
    return ApiClient(Server.parse(farm.url), token=TOKEN, patience=0)


def patient(farm: ApiFarm, told: list[str] | None = None) -> ApiClient:
    return ApiClient(Server.parse(farm.url), patience=30, say=(told if told is not None else []).append)


def test_a_build_is_asked_for(farm: ApiFarm, client: ApiClient) -> None:
    farm.tell("POST builds", Reply(202, build_told("pending", place=3, something_new=[1])))
    found = client.ask_build(WANTED)
    assert (found.build_id, found.id, found.status, found.place, found.is_coming) == (BUILD, ID, "pending", 3, True)
    [heard] = farm.heard
    assert heard.token == f"Bearer {TOKEN}"
    assert heard.body == {
        "module": "loop",
        "distro": "debian",
        "series": "sid",
        "arch": "amd64",
        "kernel_release": "7.2.13+deb14-amd64",
    }


def test_without_a_token_none_is_sent(farm: ApiFarm) -> None:
    farm.tell("GET runs?limit=7", Reply(200, {"runs": []}))
    assert patient(farm).runs(7) == []
    assert [heard.token for heard in farm.heard] == [""]


def test_what_failed_is_told_as_it_is(farm: ApiFarm, client: ApiClient) -> None:
    farm.tell("POST builds", refusal(409, "it is failed", status="failed", reason="no such field", id=ID))
    farm.tell(f"GET builds/{QUOTED}", Reply(200, build_told("failed", reason="no such field", finished=9.5)))
    found = client.ask_build(WANTED)
    assert (found.status, found.reason, found.finished) == ("failed", "no such field", 9.5)
    # a farm that does not name it
    farm.tell("POST builds", refusal(409, "it is failed"))
    farm.tell(f"GET builds/{ASKED}", Reply(200, build_told("failed")))
    assert client.ask_build(WANTED).status == "failed"


def test_a_log_is_read_from_a_byte_on(farm: ApiFarm, client: ApiClient) -> None:
    where = f"GET builds/{QUOTED}/log?offset="
    farm.tell(f"{where}0", Reply(200, b"one\n", {"X-Log-Complete": "false", "X-Log-Build": "4/7"}))
    farm.tell(f"{where}4", Reply(200, b"", {"X-Log-Complete": "true", "X-Log-Build": "4/7"}))
    first, last = client.log(ID, 0), client.log(ID, 4)
    assert first and (first.data, first.is_complete, first.build) == (b"one\n", False, "4/7")
    assert last and (last.data, last.is_complete) == (b"", True)
    assert client.log(ID, 9) is None


def test_what_a_terminal_would_obey_is_taken_out(farm: ApiFarm, client: ApiClient) -> None:
    farm.tell(f"GET builds/{QUOTED}", Reply(200, build_told("failed", reason="\x1b]0;mine\x07a\nb\x9b31m")))
    assert client.build(ID).reason == "]0;minea\nb31m"


def test_lists(farm: ApiFarm, client: ApiClient) -> None:
    kernel = {"distro": "debian", "series": "sid", "arch": "amd64", "release": "7.3-amd64", "version": "7.3-1"}
    more = {"flavour": "amd64", "toolchain": "gcc-16", "repository": "sid main", "gone": None, "builds": {}}
    farm.tell("GET kernels", Reply(200, {"whole": True, "kernels": [{**kernel, **more}]}))
    assert [(each.target, each.release) for each in client.kernels()] == [("debian-sid-amd64", "7.3-amd64")]
    farm.tell("GET coverage/builds", Reply(200, {"builds": [{"build_id": BUILD, "status": "running"}]}))
    assert [(each.name, each.status, each.is_gone) for each in client.standings()] == [(BUILD, "pending", False)]


@pytest.mark.parametrize(
    ("reply", "error", "told", "hint"),
    [
        (refusal(401, "x"), Refused, "the farm does not know this token", "`kmodci token list` on the farm's machine"),
        (refusal(403, "token a may read"), Refused, "token a may read", "`kmodci token list` on the farm's machine"),
        (refusal(404, "no module 'lop'", nearest=["loop"]), NotFound, "no module 'lop'", "the nearest are: loop"),
        (refusal(404, "no module", hint="there is: loop"), NotFound, "no module", "there is: loop"),
        (refusal(413, "a body has at most 9 bytes"), Refused, "a body has at most 9 bytes", ""),
        (
            refusal(422, "not to be understood", fields={"arch": "is none"}),
            Refused,
            "not to be understood\n  arch: is none",
            "",
        ),
        (refusal(429, "too many", retry_after=30), FarmAway, "too many", "it takes so many questions in a while"),
        (refusal(500, "an error of the farm's own"), FarmAway, "an error of the farm's own", "twistd.log"),
        (refusal(503, "not read yet", hint="wait"), FarmAway, "not read yet", "wait"),
        (Reply(502, "<h1>Bad Gateway</h1>"), FarmAway, "502 Bad Gateway", "a proxy before the farm says so"),
        (Reply(500, "<h1>oops</h1>"), FarmAway, "500 Internal Server Error", "a proxy before the farm"),
        (
            Reply(401, "<h1>who?</h1>"),
            Refused,
            "401 Unauthorized, says something before the farm",
            "a login of its own",
        ),
        (
            Reply(404, "<h1>no</h1>"),
            NotFound,
            "no farm answers at http",
            "--server is the address of the farm's web UI",
        ),
        (Reply(404, {"error": "not found"}), NotFound, "404 Not Found, application/json", "--server is the address"),
        (Reply(200, "<html>welcome</html>"), NotFound, "200 OK, text/html", "--server is the address"),
        (Reply(418, "tea"), Refused, "418 I'm a Teapot", "--server is the address"),
        (Reply(299, "?"), NotFound, "299, text/html", "--server is the address"),
        (Reply(200, ["a"]), NotFound, "the answer is not what was expected: it is no JSON object", "another version"),
        (Reply(200, {"id": 7}), NotFound, "not what was expected: id: Input should be a valid string", "version"),
    ],
)
def test_other_answers(
    farm: ApiFarm, client: ApiClient, reply: Reply, error: type[KmodciError], told: str, hint: str
) -> None:
    farm.tell("POST builds", reply)
    with pytest.raises(error) as caught:
        client.ask_build(WANTED)
    assert type(caught.value) is error
    assert told in caught.value.brief
    assert hint in caught.value.hint
    assert TOKEN not in str(caught.value)
    assert len(farm.heard) == 1


def test_without_a_token_the_hint_is_how_to_get_one(farm: ApiFarm) -> None:
    farm.tell("POST builds", refusal(401, "that takes a token", hint="`kmodci token add` makes one"))
    with pytest.raises(Refused, match="that takes a token") as caught:
        patient(farm).ask_build(WANTED)
    assert "--token-file FILE" in caught.value.hint


def test_what_may_pass_is_asked_again_when_the_farm_says(farm: ApiFarm) -> None:
    told: list[str] = []
    busy = refusal(503, "it is being read", retry_after=2)
    farm.tell("POST builds", busy, Reply(502, "x"), Reply(200, build_told("built", files=[FILE])))
    found = patient(farm, told).ask_build(WANTED)
    assert (found.status, found.files[0].sha256) == ("built", "5" * 64)
    assert told == ["it is being read; asked again in 2 s"]
    assert len(farm.heard) == 3


def test_there_is_an_end_to_it(farm: ApiFarm) -> None:
    farm.tell("POST builds", refusal(429, "too many", retry_after=3600))
    with pytest.raises(FarmAway, match="too many"):
        patient(farm).ask_build(WANTED)
    assert len(farm.heard) == 1


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_connection_that_breaks(farm: ApiFarm, rebuild: bool) -> None:
    """A build that was to be made anew may have been heard of, and would be made twice."""
    farm.misbehave(f"{API}builds", cut(b"{", announced=900))
    farm.tell("POST builds", Reply(202, build_told("pending")))
    wanted = Wanted(**{**WANTED.plain(), "rebuild": rebuild})
    if rebuild:
        with pytest.raises(FarmAway, match="does not answer"):
            patient(farm).ask_build(wanted)
    else:
        assert patient(farm).ask_build(wanted).status == "pending"


def test_a_rebuild_that_a_proxy_may_have_handed_on(farm: ApiFarm) -> None:
    """It would be made twice; what the farm itself did not take was not heard."""
    rebuild = Wanted(**{**WANTED.plain(), "rebuild": True})
    farm.tell("POST builds", Reply(504, "<h1>Gateway Timeout</h1>"), Reply(202, build_told("pending")))
    with pytest.raises(FarmAway, match="504 Gateway Timeout"):
        patient(farm).ask_build(rebuild)
    assert len(farm.heard) == 1
    farm.tell("POST builds", refusal(503, "it is being read"), Reply(202, build_told("pending")))
    assert patient(farm).ask_build(rebuild).status == "pending"


def test_nobody_there() -> None:
    port = free_ports()
    with pytest.raises(FarmAway, match=f"the farm at http://127.0.0.1:{port}/ does not answer: .*refused") as caught:
        ApiClient(Server.parse(f"http://127.0.0.1:{port}"), patience=0.2).runs(1)
    assert "does the farm run?" in caught.value.hint
    assert caught.value.exit_code == 3


def test_no_redirect_is_followed(farm: ApiFarm, client: ApiClient, tmp_path: Path) -> None:
    with ApiFarm(tmp_path) as other:
        farm.misbehave(f"{API}runs?limit=1", redirect(f"{other.url}/there"))
        with pytest.raises(Refused, match=f"leads to {other.url}/there, and no redirect is followed"):
            client.runs(1)
        assert other.requests == []


@pytest.mark.parametrize(("fault", "told"), [(endless, "longer than"), (page("hello"), "no farm answers")])
def test_what_is_no_farm(
    farm: ApiFarm, client: ApiClient, fault: Callable[[Handler], None], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmodci.apicalls.LARGEST", 1_000_000)
    farm.misbehave(f"{API}runs?limit=1", fault)
    with pytest.raises(KmodciError, match=told):
        ApiClient(client.server, patience=0).runs(1)


def test_no_answer_in_time(farm: ApiFarm) -> None:
    farm.misbehave(f"{API}runs?limit=1", lambda handler: handler.server.ended.wait() and None)
    with pytest.raises(FarmAway, match=r"timed out|closed connection without response"):
        ApiClient(Server.parse(farm.url), patience=0, timeout=0.2).runs(1)


def test_a_proxy_is_not_asked_about_this_machine(farm: ApiFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    farm.tell("GET runs?limit=1", Reply(200, {"runs": []}))
    assert patient(farm).runs(1) == []


def test_plain_http_where_https_was_said(farm: ApiFarm) -> None:
    server = Server.parse(farm.url.replace("http:", "https:"))
    with pytest.raises(FarmAway, match=r"no secure connection|does not answer") as caught:
        ApiClient(server, patience=0).runs(1)
    assert isinstance(ssl.OPENSSL_VERSION, str) and caught.value.exit_code == 3


def test_a_status_without_a_body(farm: ApiFarm, client: ApiClient) -> None:
    farm.misbehave(f"{API}runs?limit=1", status(503))
    with pytest.raises(FarmAway, match="503 Service Unavailable"):
        client.runs(1)
