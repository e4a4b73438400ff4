"""`kmodci build --server --follow`: the log as it comes, and how the build ended."""

import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from kmodci.cli.bar import Bar
from kmodci.cli.following import LogPrinter
from rich.console import Console
from support.apifarm import BUILD, FILE, ID, QUOTED, ApiFarm, Reply, build_told, refusal

Run = Callable[..., tuple[int, str, str]]
STOPPED = "it was stopped, or the farm failed or holds it; this asks for it again"
STATE, LOG = f"GET builds/{QUOTED}", f"GET builds/{QUOTED}/log?offset="


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmodci.cli.following._LOOK_EVERY", 0.01)
    monkeypatch.setattr("kmodci.cli.bar._PLAIN_EVERY", 0.0)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[ApiFarm]:
    with ApiFarm(tmp_path) as farm:
        farm.tell("POST builds", Reply(202, build_told("pending", place=2, eta_seconds=20)))
        yield farm


def piece(text: str, *, complete: bool = False, of: str = "4/7") -> Reply:
    headers = {"X-Log-Complete": "true" if complete else "false", "X-Log-Build": of}
    return Reply(200, text.encode(), headers)


def states(farm: ApiFarm, *told: dict[str, object]) -> None:
    farm.tell(STATE, *(Reply(200, each) for each in told))


def test_a_build_that_succeeds(run: Run, farm: ApiFarm) -> None:
    built = build_told("built", files=[FILE], finished=9.0)
    states(farm, build_told("pending", place=1), build_told("running", eta_seconds=8), build_told("running"), built)
    farm.tell(f"{LOG}0", piece("CC loop.o\n"))
    farm.tell(f"{LOG}10", piece(""), piece("LD loop"))
    farm.tell(f"{LOG}17", piece(".ko\n", complete=True))
    farm.tell(f"{LOG}21", piece("", complete=True))
    status, out, err = run("build", BUILD, "--server", farm.url, "--follow")
    assert (status, out) == (0, "CC loop.o\nLD loop.ko\n")
    lines = err.splitlines()
    assert lines[0] == f"{BUILD}: pending, number 2 in the queue, about 20s"
    assert "running, about 8s" in lines
    assert f"{BUILD}: built" in lines
    assert f"  files      {FILE['sha256']}  {FILE['url']}" in lines


def test_a_build_that_fails(run: Run, farm: ApiFarm) -> None:
    failed = build_told("failed", reason="loop.c:1: error: no such field", finished=9.0, others=["0.9"])
    states(farm, build_told("running"), failed)
    farm.tell(f"{LOG}0", piece("loop.c:1: error: no such field\n", complete=True))
    status, out, err = run("build", BUILD, "--server", farm.url, "--follow")
    assert (status, out) == (1, "loop.c:1: error: no such field\n")
    assert f"{BUILD}: failed, loop.c:1: error: no such field" in err
    assert "published for this kernel in version 0.9: say --version" in err


def test_as_json_the_log_is_beside_it(run: Run, farm: ApiFarm) -> None:
    states(farm, build_told("running"), build_told("built", files=[FILE], finished=9.0))
    farm.tell(f"{LOG}0", piece("CC loop.o\n", complete=True))
    status, out, err = run("build", BUILD, "--server", farm.url, "--follow", "--json")
    assert status == 0
    assert json.loads(out)["id"] == ID
    assert "CC loop.o\n" in err


def test_a_log_goes_to_the_terminal_though_what_else_is_said_goes_to_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), StringIO()
    monkeypatch.setattr("sys.stdout", terminal)
    with Bar(Console(file=file), counted=False) as bar:
        printer = LogPrinter(bar)
        printer(b"CC \x1b[2Jloop.o\nLD loop")
        printer(b".ko")
        printer.end()
    assert (terminal.getvalue(), file.getvalue()) == ("CC [2Jloop.o\nLD loop.ko\n", "")


def test_built_anew_what_was_before_is_no_news(run: Run, farm: ApiFarm) -> None:
    before = build_told("failed", finished=5.0, reason="old")
    after = build_told("built", files=[FILE], finished=9.0)
    farm.tell(f"GET builds/{QUOTED.replace('1.0', '')}", Reply(200, before))
    states(farm, before, build_told("pending", place=1), build_told("running"), after)
    farm.tell(f"{LOG}0", piece("new\n", complete=True))
    status, out, _ = run("build", BUILD, "--server", farm.url, "--follow", "--rebuild")
    assert (status, out) == (0, "new\n")
    assert [heard.body for heard in farm.heard if heard.body] == [
        {
            "module": "loop",
            "distro": "debian",
            "series": "sid",
            "arch": "amd64",
            "kernel_release": "7.2.13+deb14-amd64",
            "rebuild": True,
        }
    ]


def test_a_build_that_is_tried_once_more_has_another_log(run: Run, farm: ApiFarm) -> None:
    """The container of the first was lost."""
    running = build_told("running")
    states(farm, running, build_told("pending", place=1), running, build_told("built", files=[FILE], finished=9.0))
    farm.tell(f"{LOG}0", piece("first\n"), piece("second\n", of="4/8"))
    farm.tell(f"{LOG}6", piece(""), piece("never seen", of="4/8"))
    farm.tell(f"{LOG}7", piece("", complete=True, of="4/8"))
    status, out, _ = run("build", BUILD, "--server", farm.url, "--follow")
    assert (status, out) == (0, "first\nsecond\n")


def test_a_build_that_is_stopped(run: Run, farm: ApiFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmodci.cli.following._IDLE_LOOKS", 3)
    states(farm, build_told("running"), build_told("pending", reason="cancelled by me"))
    farm.tell(f"{LOG}0", piece("", complete=True))
    status, _, err = run("build", BUILD, "--server", farm.url, "--follow")
    assert status == 1
    assert f"{BUILD}: pending, cancelled by me" in err
    assert f"{STOPPED}: kmodci build {BUILD} --follow --server {farm.url}/\n" in err


@pytest.mark.parametrize("before", ["built", "failed"])
def test_a_rebuild_that_is_stopped_is_not_what_was_there_before(
    run: Run, farm: ApiFarm, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    monkeypatch.setattr("kmodci.cli.following._IDLE_LOOKS", 3)
    was = build_told(before, files=[FILE], finished=5.0)
    farm.tell(f"GET builds/{QUOTED.replace('1.0', '')}", Reply(200, was))
    states(farm, build_told("pending", place=1), build_told("running", finished=5.0), was)
    farm.tell(f"{LOG}0", piece("half of it\n", complete=True))
    status, _, err = run("build", BUILD, "--server", farm.url, "--follow", "--rebuild")
    assert status == 1
    assert f"{STOPPED}: kmodci build {BUILD} --follow --server {farm.url}/ --rebuild\n" in err
    status, out, err = run("build", BUILD, "--server", farm.url, "--wait", "1m", "--rebuild", "--json")
    assert (status, json.loads(out)["finished"]) == (1, 5.0)
    assert STOPPED in err


def test_a_build_that_never_begins(run: Run, farm: ApiFarm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled before its turn, it is held: it waits, and has no place."""
    monkeypatch.setattr("kmodci.cli.following._IDLE_LOOKS", 3)
    states(farm, build_told("pending", place=1), build_told("pending", reason="cancelled by me"))
    status, out, err = run("build", BUILD, "--server", farm.url, "--follow")
    assert (status, out) == (1, "")
    assert f"{BUILD}: pending, cancelled by me" in err and STOPPED in err


def test_a_source_that_moves_on_meanwhile(run: Run, farm: ApiFarm) -> None:
    """The farm knows nothing any more of the build of the version before: there will be one of the next."""
    later = {"id": ID.replace("1.0", "1.1"), "version": "1.1"}
    farm.tell("POST builds", Reply(202, build_told("pending", place=2)), Reply(202, build_told("pending", **later)))
    farm.tell(STATE, Reply(200, build_told("pending", place=1)), refusal(404, "not published in version 1.0"))
    farm.tell(STATE.replace("1.0", "1.1"), Reply(200, build_told("built", files=[FILE], finished=9.0, **later)))
    status, _, err = run("build", BUILD, "--server", farm.url, "--follow")
    assert status == 0
    assert f"{BUILD}: built" in err
    assert [heard.what for heard in farm.heard].count("POST builds") == 2


def test_a_farm_that_forgets_whatever_it_was_asked(run: Run, farm: ApiFarm) -> None:
    farm.tell(STATE, refusal(404, "never heard of it"))
    status, out, err = run("build", BUILD, "--server", farm.url, "--follow")
    assert (status, out) == (2, "")
    assert "error: never heard of it" in err
    assert [heard.what for heard in farm.heard].count("POST builds") == 4


def test_there_may_be_an_end_to_waiting(run: Run, farm: ApiFarm) -> None:
    states(farm, build_told("pending", place=2))
    status, out, err = run("build", BUILD, "--server", farm.url, "--wait", "1s")
    assert (status, out) == (3, "")
    assert f"error: {BUILD} has not ended within 1s; it goes on at the farm" in err
    assert f"kmodci build {BUILD} --follow --server {farm.url}/" in err
    assert not [heard for heard in farm.heard if "/log" in heard.what]


def test_waiting_without_the_log(run: Run, farm: ApiFarm) -> None:
    states(farm, build_told("running"), build_told("built", files=[FILE], finished=9.0))
    status, out, _ = run("build", BUILD, "--server", farm.url, "--wait", "1m")
    assert status == 0
    assert out.splitlines()[0] == f"{BUILD}: built"


def test_ctrl_c_leaves_it_to_the_farm(run: Run, farm: ApiFarm) -> None:
    states(farm, build_told("pending", place=2))
    with farm.interrupting(STATE):
        status, out, err = run("build", BUILD, "--server", farm.url, "--follow")
    assert (status, out) == (130, "")
    again = f"kmodci build {BUILD} --follow --server {farm.url}/"
    assert err.rstrip().splitlines()[-1] == f"the build goes on at the farm; to follow it again: {again}"


def test_a_farm_that_goes_away_meanwhile_is_waited_for(run: Run, farm: ApiFarm) -> None:
    farm.tell(
        STATE,
        refusal(503, "the farm reads its sources", retry_after=1),
        Reply(502, "<h1>Bad Gateway</h1>"),
        Reply(200, build_told("built", files=[FILE], finished=9.0)),
    )
    status, _, err = run("build", BUILD, "--server", farm.url, "--follow")
    assert status == 0
    assert f"{BUILD}: built" in err
