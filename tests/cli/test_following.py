"""`kmodci build --server --follow`: the log as it comes, and how the build ended."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.apifarm import BUILD, FILE, ID, QUOTED, ApiFarm, Reply, build_told, refusal

Run = Callable[..., tuple[int, str, str]]
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
    assert "it was stopped, or the farm failed it; this asks for it again: kmodci build" in err


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
