"""Commands that ask a farm which runs: they tell what they tell of its files, and say what to do when it cannot be."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kmodci.board import Board
from kmodci.cli.view import open_view
from kmodci.model import Status
from kmodci.runs import Ending, RunEntry
from kmodci.runs import Run as ARun
from kmodci.runstore import RunStore
from kmodci.store import RepositoryState, Store
from support.boardfarm import BoardFarm
from support.boards import published_of
from support.remembered import BUILT, FAILED, remember

Run = Callable[..., tuple[int, str, str]]
TOKEN = "kmodci_" + "a" * 43
NOTHING = "v4l2loopback/debian-bookworm-amd64/6.1.0-55-amd64"


@pytest.fixture
def store(config: Path) -> Store:
    store = remember(config)
    store.put_repository(RepositoryState(name="sid main", last_ok=time.time(), last_try=time.time(), error="timed out"))
    return store


@pytest.fixture
def farm(tmp_path: Path, config: Path, store: Store) -> Iterator[BoardFarm]:
    """Has the board that a master of these files would have."""
    view = open_view(config)
    standings = {each.name: each for each in view.standings()}
    outcomes = view.outcomes()
    board = Board(
        is_whole=True,
        kernels=store.kernels(),
        standings=standings,
        keys={name: last.key for name, last in outcomes.items()},
        versions=store.module_versions(),
        published={("v4l2loopback", "0.15.4-2"): {BUILT: published_of(standings[BUILT].entry, "0.15.4-2")}},
    )
    with BoardFarm(tmp_path, board) as farm:
        farm.sources = view.sources()
        farm.token = TOKEN
        yield farm


@pytest.fixture
def token(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return str(path)


def put_run(store: Store, farm: BoardFarm) -> ARun:
    """One that is open: one build is done, one has failed, and the rest is left."""
    run = ARun(id="2026-11-23-231500", started=time.time() - 60)
    names = [name for name in farm.board.standings if name.startswith("v4l2loopback/debian-sid-amd64/")]
    endings = [Ending.BUILT, Ending.FAILED, *([None] * (len(names) - 2))]
    entries = [
        RunEntry(
            build_id=farm.board.standings[name].entry.build_id,
            key="k",
            why="new kernel",  # type: ignore[arg-type] # as the database gives it
            chunk=0,
            ending=ending,
            cause="loop.c:3: error: no such field" if ending is Ending.FAILED else "",
            seconds=5.0 if ending else 0.0,
        )
        for name, ending in zip(names, endings, strict=True)
    ]
    RunStore(store).put_run(run, entries)
    farm.runs[run.id] = (run, RunStore(store).entries(run.id))
    return run


@pytest.mark.parametrize(
    "command",
    [
        ("coverage",),
        ("coverage", "v4l2loopback/debian-b*-amd64/*", "--causes"),
        ("coverage", "*", "--json"),
        ("kernels", "debian-sid-amd64/*"),
        ("kernels", "--arch", "arm64"),
        ("kernels", "--sources"),
        ("kernels", "--sources", "--problems"),
        ("runs",),
        ("runs", "2026-11-23-231500"),
        ("runs", "2026-11-23-231500", "--json"),
        ("runs", "--json"),
        ("explain", "6.1.0-56-amd64"),
    ],
    ids=" ".join,
)
def test_a_farm_and_its_files_are_told_alike(
    run: Run, farm: BoardFarm, store: Store, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_run(store, farm)
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now)
    of_files, of_farm = run(*command), run(*command, "--server", farm.url)
    if command[0] == "explain":
        # why a build is pending is said in other words
        assert [line.split()[:2] for line in of_farm[1].splitlines()] == [
            line.split()[:2] for line in of_files[1].splitlines()
        ]
    else:
        assert of_farm == of_files
    assert of_farm[1]


def test_json_has_the_same_keys(run: Run, farm: BoardFarm) -> None:
    for name in (BUILT, FAILED, NOTHING):
        of_files = json.loads(run("explain", name, "--json")[1])
        of_farm = json.loads(run("explain", name, "--json", "--server", farm.url)[1])
        assert of_farm.keys() == of_files.keys()
        assert (of_farm["build_id"], of_farm["status"]) == (of_files["build_id"], of_files["status"])
        # what is about the farm's own inputs is not told to everybody
        assert {name for name, value in of_files.items() if value and not of_farm[name]} <= {
            "headers",
            "bundle",
            "image",
            "inputs",
        }
    [of_files] = json.loads(run("kernels", "*/6.1.0-56-amd64", "--json")[1])["kernels"]
    [of_farm] = json.loads(run("kernels", "*/6.1.0-56-amd64", "--json", "--server", farm.url)[1])["kernels"]
    assert of_farm == {**of_files, "headers": []}


def test_explain_what_is_built(run: Run, farm: BoardFarm) -> None:
    status, out, err = run("explain", BUILT, "--server", farm.url)
    assert (status, err) == (0, "could not read sid main: timed out\n")
    lines = out.splitlines()
    assert lines[0] == f"{BUILT}: built"
    assert "  why        verified and published" in lines
    assert any(line.startswith(f"  files      {'5' * 64}  {farm.url}/kmodci/files/modules/") for line in lines)


def test_the_environment_may_say_where(
    run: Run, farm: BoardFarm, monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    monkeypatch.setenv("KMODCI_SERVER", farm.url)
    status, _, err = run("coverage", "--config", str(config))
    assert (status, farm.heard) == (0, [])
    status, out, err = run("coverage")
    assert (status, out) == (2, "")
    assert "KMODCI_SERVER and KMODCI_CONFIG are both set" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("coverage", "--server", "http://127.0.0.1:9", "--config", "."), "say one of them"),
        (("coverage", "--server", "http://127.0.0.1:9", "--look"), "--look is of files, and a farm is asked"),
        (("kernels", "--server", "http://127.0.0.1:9", "--scope", "all"), "--scope is of files"),
        (("coverage", "--token-file", "t"), "--token-file is for a farm, and none is asked: say --server URL"),
        (("watch", "--insecure"), "--insecure is for a farm"),
        (("build", BUILT, "--follow"), "--follow is for a farm"),
        (("build", BUILT, "--wait", "1m"), "--wait is for a farm"),
        (("build", BUILT, "--rebuild"), "--rebuild is for a farm"),
        (("build", BUILT, "--server", "http://127.0.0.1:9", "--output", "x"), "--output is of files"),
        (("build", BUILT, "--server", "http://127.0.0.1:9", "--wait", "soon"), "not a duration: 'soon'"),
        (("build", BUILT, "--server", "http://127.0.0.1:9", "--version", "../x"), "not a module version"),
        (("build", "loop/../x", "--server", "http://127.0.0.1:9"), "not a target"),
        (("runs", "../../etc", "--server", "http://127.0.0.1:9"), "not a run's id"),
        (("runs", "--limit", "0"), "0 is not in the range x>=1"),
        (("explain", "$(id)", "--server", "http://farm.example.com/?x"), "not the address of a farm"),
        (
            ("kernels", "--server", "http://127.0.0.1:9", "--format", "kernel-crawler", "--arch", "amd64"),
            "--format kernel-crawler is of files",
        ),
    ],
)
def test_mistakes(run: Run, arguments: tuple[str, ...], told: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert told in err


def test_a_token_of_others_and_a_token_in_the_clear(run: Run, farm: BoardFarm, token: str) -> None:
    Path(token).chmod(0o644)
    status, out, err = run("build", NOTHING, "--server", farm.url, "--token-file", token)
    assert (status, out) == (1, "")
    assert "others may read it" in err and f"chmod 600 {token}" in err
    Path(token).chmod(0o600)
    status, out, err = run("build", NOTHING, "--server", "http://farm.example.com/", "--token-file", token)
    assert (status, out) == (2, "")
    assert "a token is not sent to http://farm.example.com/" in err and "--insecure" in err
    assert TOKEN not in err
    assert farm.heard == []


def test_build_what_is_built(run: Run, farm: BoardFarm) -> None:
    status, out, err = run("build", BUILT, "--server", farm.url, "--follow")
    assert (status, out) == (0, "")
    assert err.splitlines()[0] == f"{BUILT}: built"
    status, out, err = run("build", BUILT, "--server", farm.url, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["files"][0]["sha256"] == "5" * 64


def test_build_what_failed(run: Run, farm: BoardFarm) -> None:
    status, out, err = run("build", FAILED, "--server", farm.url)
    assert status == 1
    assert out.splitlines()[0] == f"{FAILED}: failed, v4l2loopback.c:12: error: no such field"
    assert err == "--rebuild has it tried again\n"


def test_build_what_is_not_built_yet(run: Run, farm: BoardFarm, token: str) -> None:
    status, out, err = run("build", NOTHING, "--server", farm.url, "--token-file", token)
    assert status == 0
    assert out.splitlines()[0].startswith(f"{NOTHING}: pending, number 1 in the queue, about ")
    assert (
        f"  status     {farm.url}/api/kmodci/v1/builds/v4l2loopback,0.15.4-2,debian-bookworm-amd64,6.1.0-55-amd64"
        in out
    )
    assert err == f"to follow it: kmodci build {NOTHING} --follow --server {farm.url}/\n"
    assert farm.heard[-1].token == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("build_id", "told"),
    [
        (BUILT.replace("v4l2loopback", "v4l2loopbak"), "did you mean 'v4l2loopback'?"),
        (BUILT.replace("-56-", "-57-"), "the nearest are: debian-bookworm-amd64/6.1.0-5"),
    ],
)
def test_build_what_is_not_there(run: Run, farm: BoardFarm, build_id: str, told: str) -> None:
    status, out, err = run("build", build_id, "--server", farm.url)
    assert (status, out) == (2, "")
    assert told in err


def test_build_with_a_token_that_is_none(run: Run, farm: BoardFarm, token: str) -> None:
    Path(token).write_text("b" * 43)
    status, out, err = run("build", NOTHING, "--server", farm.url, "--token-file", token)
    assert (status, out) == (2, "")
    assert err.startswith("error: the farm does not know this token\n  hint: `kmodci token list` on the farm's machine")
    status, out, err = run("build", FAILED, "--rebuild", "--server", farm.url)
    assert (status, out) == (2, "")
    assert "takes a token" in err and "--token-file FILE" in err


def test_nobody_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmodci.cli.remote.PATIENCE", 0.1)
    for command in (("coverage",), ("watch",), ("runs",)):
        status, out, err = run(*command, "--server", "http://127.0.0.1:9")
        assert (status, out) == (3, "")
        assert "the farm at http://127.0.0.1:9/ does not answer" in err and "hint: " in err


def test_nothing_there(run: Run, farm: BoardFarm) -> None:
    asked = ("--server", farm.url)
    assert run("runs", *asked)[2].startswith("no run yet: ")
    assert run("watch", *asked)[2].startswith("no run yet: ")
    assert "no build fits that" in run("coverage", "loop/*", *asked)[2]
    farm.sources = ()
    farm.board = replace(farm.board, standings={}, kernels={})
    assert run("coverage", *asked) == (
        0,
        "",
        "the matrix is empty: `kmodci kernels --sources` tells whether a source was read, `kmodci check` the scopes\n",
    )
    status, _, err = run("kernels", *asked)
    assert (status, err.splitlines()[-1]) == (
        0,
        "`kmodci kernels --sources` tells how the looks at the repositories went",
    )
    assert run("runs", "2026-01-01-000000", *asked)[0] == 2


def test_a_running_build_counts_as_pending(run: Run, farm: BoardFarm) -> None:
    farm.board = replace(farm.board, running={NOTHING: f"{farm.url}/#/builders/1/builds/1"})
    assert json.loads(run("explain", NOTHING, "--json", "--server", farm.url)[1])["why"] == "being built"
    counted = json.loads(run("coverage", "--json", "--server", farm.url)[1])["all"]
    assert (counted["built"], counted["failed"], counted["pending"]) == (1, 1, 496)
    assert Status.PENDING in counted
