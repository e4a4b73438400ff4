"""`kmodci watch` on a farm that answers, and on the files of one."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kmodci.cli.local import Local
from kmodci.matrix import Why
from kmodci.model import BuildId
from kmodci.paths import Paths
from kmodci.runs import Ending, RunEntry
from kmodci.runs import Run as ARun
from kmodci.runstore import RunStore
from kmodci.settings import load
from kmodci.store import Store
from kmodci.told import RunWholeTold
from support.apifarm import ApiFarm, Reply, refusal

Run = Callable[..., tuple[int, str, str]]
ID = "2026-11-23-231500"
HERE = "loop/debian-sid-amd64/"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmodci.cli.watch._LOOK_EVERY", 0.01)
    monkeypatch.setattr("kmodci.cli.bar._PLAIN_EVERY", 0.0)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[ApiFarm]:
    with ApiFarm(tmp_path) as farm:
        farm.tell("GET runs?limit=100", Reply(200, {"runs": [told(0, 0), {**told(3, 0), "id": "2026-11-22-000000"}]}))
        yield farm


def told(
    built: int, failed: int, *, builds: list[dict[str, object]] | None = None, **more: object
) -> dict[str, object]:
    """A run of three builds."""
    left = 3 - built - failed
    return {
        "id": ID,
        "state": "open" if left else "ended",
        "started": 1_700_000_000.0,
        "finished": None if left else 1_700_000_060.0,
        "planned": 3,
        "built": built,
        "failed": failed,
        "left": left,
        "make_seconds": 1.5,
        "why": {"new kernel": 3},
        "builds_a_minute": 4.0,
        "eta_seconds": 15 * left or None,
        "builds": builds or [],
        **more,
    }


def build(release: str, ending: str, cause: str = "") -> dict[str, object]:
    return {"build_id": HERE + release, "why": "new kernel", "ending": ending, "cause": cause}


def goes(farm: ApiFarm, *looks: dict[str, object]) -> None:
    failed = [
        build("7.1-amd64", "failed", "loop.c:1: error: no such field"),
        build("7.2-amd64", "failed", "loop.c:2: x"),
    ]
    farm.tell(f"GET runs/{ID}?ending=fault", *(Reply(200, look) for look in looks))
    each = [told(0, count, builds=failed[:count]) for count in range(1, 3)]
    farm.tell(f"GET runs/{ID}?ending=failed", *(Reply(200, look) for look in each))
    ended = {**looks[-1], "builds": [*failed[: int(str(looks[-1]["failed"]))], build("7.3-amd64", "built")]}
    farm.tell(f"GET runs/{ID}", Reply(200, ended))


def test_a_run_that_goes_well(run: Run, farm: ApiFarm) -> None:
    goes(farm, told(0, 0), told(1, 0), told(3, 0))
    status, out, err = run("watch", "--server", farm.url)
    assert (status, err) == (0, "")
    assert out.splitlines()[:3] == [
        "3 left, 4.0 a minute, about 45s",
        "1 built, 2 left, 4.0 a minute, about 30s",
        "3 built",
    ]
    assert f"  run        {ID}" in out.splitlines()
    # who watches asks for little
    assert {heard.what for heard in farm.heard} == {
        "GET runs?limit=100",
        f"GET runs/{ID}?ending=fault",
        f"GET runs/{ID}",
    }


def test_failures_are_told_as_they_come(run: Run, farm: ApiFarm) -> None:
    goes(farm, told(0, 0), told(0, 1), told(0, 1), told(1, 2))
    status, out, err = run("watch", ID, "--server", farm.url)
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[1:3] == [
        f"failed {HERE}7.1-amd64: loop.c:1: error: no such field",
        "1 failed, 2 left, 4.0 a minute, about 30s",
    ]
    assert lines[3:5] == [f"failed {HERE}7.2-amd64: loop.c:2: x", "1 built, 2 failed"]
    assert lines[-2:] == [
        f"1 failed: loop.c:2: x (as {HERE}7.2-amd64)",
        f"1 failed: no such field (as {HERE}7.1-amd64)",
    ]


def test_a_line_of_json_for_each_change(run: Run, farm: ApiFarm) -> None:
    goes(farm, told(0, 0), told(0, 0), told(0, 1), told(2, 1))
    status, out, err = run("watch", "--json", "--server", farm.url)
    assert (status, err) == (1, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["built"], line["failed"], line["left"]) for line in lines] == [(0, 0, 3), (0, 1, 2), (2, 1, 0)]
    cause = "loop.c:1: error: no such field"
    assert [line["not_built"] for line in lines] == [
        [],
        [{"build_id": f"{HERE}7.1-amd64", "ending": "failed", "cause": cause}],
        [],
    ]
    assert lines[0]["eta_seconds"] == 45 and "builds" not in lines[0]


def test_a_run_that_was_cancelled_is_no_success(run: Run, farm: ApiFarm) -> None:
    goes(farm, told(1, 0, state="cancelled by me", cancelled=2, left=0, finished=1_700_000_060.0))
    farm.tell(f"GET runs/{ID}?ending=cancelled", Reply(200, told(1, 0, builds=[build("7.1-amd64", "cancelled", "no")])))
    status, out, _ = run("watch", ID, "--server", farm.url)
    assert status == 1
    assert out.splitlines()[0] == "1 built, 2 cancelled"


def test_no_run_is_open(run: Run, farm: ApiFarm) -> None:
    farm.tell("GET runs?limit=100", Reply(200, {"runs": [told(2, 1)]}))
    status, out, err = run("watch", "--server", farm.url)
    assert (status, out) == (0, "")
    assert err.splitlines() == [
        f"no run is open: nothing is due. The newest, {ID}, has ended: 2 built, 1 failed",
        f"`kmodci runs {ID}` tells all of it, `kmodci plan` what is due",
    ]


def test_a_farm_that_is_started_again_meanwhile(run: Run, farm: ApiFarm) -> None:
    goes(farm, told(0, 0))
    again = [Reply(200, told(0, 0)), refusal(503, "it reads its sources"), Reply(200, told(3, 0))]
    farm.tell(f"GET runs/{ID}?ending=fault", *again)
    farm.tell(f"GET runs/{ID}", Reply(200, told(3, 0)))
    assert run("watch", "--server", farm.url)[0] == 0


def test_ctrl_c(run: Run, farm: ApiFarm) -> None:
    goes(farm, told(0, 0))
    # the second look is one of a run that is being followed
    with farm.interrupting(f"GET runs/{ID}?ending=fault", times=2):
        status, _, err = run("watch", "--server", farm.url)
    assert status == 130
    assert err.rstrip() == f"the run goes on; `kmodci watch {ID} --server {farm.url}/` shows it again"


@pytest.fixture
def runs(config: Path) -> RunStore:
    """Of a farm's files, with a run of one build."""
    store = Store(load(config).database_url)
    store.create()
    runs = RunStore(store)
    entry = RunEntry(build_id=BuildId.parse(f"{HERE}7.1-amd64"), key="k", why=Why.NEW_KERNEL, chunk=0)
    runs.put_run(ARun(id=ID, started=1_700_000_000.0), [entry])
    return runs


def test_of_files_while_no_farm_runs(run: Run, runs: RunStore, config: Path) -> None:
    status, out, err = run("watch")
    assert (status, out) == (1, "")
    state = load(config).state
    assert f"run {ID} is open, and no farm runs on {state}: `kmodci up` starts one, and it goes on" in err
    assert not (state / "master").exists()


def test_of_files_while_a_farm_runs(run: Run, runs: RunStore, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (Paths(load(config).state).master / "lock").open("w") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        [entry] = runs.entries(ID)
        ended = RunEntry(
            build_id=entry.build_id, key="k", why=entry.why, chunk=0, ending=Ending.UNAVAILABLE, cause="http://m/: 404"
        )

        def end() -> None:
            runs.update_entries(ID, [ended])
            runs.update_run(ARun(id=ID, started=1_700_000_000.0, finished=1_700_000_050.0))

        looks, look = [], Local.run

        def looked(*arguments: object) -> RunWholeTold:
            looks.append(arguments)
            if len(looks) == 2:
                # to be started again
                fcntl.flock(lock, fcntl.LOCK_UN)
            if len(looks) == 3:
                end()
            return look(*arguments)  # type: ignore[arg-type] # as they came

        monkeypatch.setattr(Local, "run", looked)
        status, out, err = run("watch")
    # what is unavailable is nobody's failure
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "1 left"
    assert lines[1:3] == [f"unavailable {HERE}7.1-amd64: http://m/: 404", "1 unavailable"]


def test_of_files_of_a_farm_that_ends_meanwhile(
    run: Run, runs: RunStore, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kmodci.cli.watch._PATIENCE", 0.0)
    look, looks = Local.run, []
    with (Paths(load(config).state).master / "lock").open("w") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)

        def looked(*arguments: object) -> RunWholeTold:
            looks.append(arguments)
            if len(looks) == 3:
                fcntl.flock(lock, fcntl.LOCK_UN)
            assert len(looks) < 1000, "it waits for ever"
            return look(*arguments)  # type: ignore[arg-type] # as they came

        monkeypatch.setattr(Local, "run", looked)
        status, out, err = run("watch")
    assert (status, out.splitlines()) == (1, ["1 left"])
    assert f"run {ID} is open, and no farm runs on {load(config).state}" in err


def test_of_files_without_any_run(run: Run) -> None:
    status, out, err = run("watch")
    assert (status, out, err) == (0, "", "no run yet: the farm's first plan opens one; `kmodci up` starts a farm\n")
    status, _, err = run("watch", ID)
    assert (status, err) == (2, f"error: there is no run {ID}\n  hint: `kmodci runs` lists them\n")
