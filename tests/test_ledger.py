"""The ledger on a real database and a real S3 server."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from kmodci.bucket import Bucket
from kmodci.errors import NotFound, StoreError
from kmodci.ledger import Ledger
from kmodci.matrix import Entry, Planned, Why
from kmodci.model import BuildId, Hold, Outcome, Status
from kmodci.runs import Ending
from kmodci.runstore import RunStore
from kmodci.store import Store
from support.kernels import kernels
from support.s3 import bucket, s3, serving

__all__ = ["bucket", "s3"]

PLAN = [
    Planned(
        entry=Entry(build_id=BuildId(module="loop", target=kernel.target, release=kernel.release), kernel=kernel),
        key=f"k{number}",
        why=Why.NEW_KERNEL,
    )
    for number, kernel in enumerate(kernels()[:10])
]
NAMES = [str(planned.entry.build_id) for planned in PLAN]
KEYS = {str(planned.entry.build_id): planned.key for planned in PLAN}


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    store.create()
    yield store
    store.close()


@pytest.fixture
def ledger(store: Store, bucket: Bucket) -> Ledger:
    return made(store, bucket)


def made(store: Store, bucket: Bucket) -> Ledger:
    return Ledger(store=store, runs=RunStore(store), bucket=bucket, slots=2, chunk_length=4)


def look(
    ledger: Ledger, due: Collection[str] = NAMES, keys: Mapping[str, str] = KEYS, waiting: Collection[str] = ()
) -> None:
    """due: what can be built now; waiting: what is to be built, and cannot be now."""
    planned = [planned for planned in PLAN if str(planned.entry.build_id) in due]
    wanted = {name: key for name, key in KEYS.items() if name in due or name in waiting}
    ledger.look(planned, wanted, keys, ledger.store.outcomes(), ledger.runs.holds())


def end(ledger: Ledger, *numbers: int, status: Status = Status.BUILT) -> list[str]:
    """These builds end."""
    for number in numbers:
        ledger.store.put_outcome(outcome_of(number, status))
    return [NAMES[number] for number in numbers]


def outcome_of(number: int, status: Status = Status.BUILT) -> Outcome:
    return Outcome(
        build_id=PLAN[number].entry.build_id,
        key=PLAN[number].key,
        status=status,
        module_version="1",
        kernel_version="1",
        finished=2e9,
        seconds=5.0,
        make_seconds=2.0,
    )


def objects(bucket: Bucket) -> dict[str, dict[str, object]]:
    """What is written of runs, by the last part of its key."""
    found = {}
    for each in bucket.list("state/runs/"):
        data = bucket.get(each.key)
        assert data is not None
        found[each.key.rpartition("/")[2]] = json.loads(data)
    return found


def test_the_plan_is_in_the_bucket_before_anything_starts(ledger: Ledger, bucket: Bucket) -> None:
    look(ledger)
    assert [str(entry.build_id) for entry in ledger.left()] == NAMES
    written = objects(bucket)
    assert list(written) == ["matrix.json"]
    assert written["matrix.json"]["whys"] == {"new kernel": 10}
    look(ledger)
    assert len(ledger.runs.runs()) == 1, "what is in an open run is not planned twice"


def test_chunks_are_written_as_they_end_and_the_summary_last(ledger: Ledger, bucket: Bucket) -> None:
    look(ledger)
    assert ledger.ended(end(ledger, 0, 1, 3))
    assert "chunk-000.json" not in objects(bucket)
    assert ledger.ended(end(ledger, 2, status=Status.FAILED))
    chunk = objects(bucket)["chunk-000.json"]
    assert chunk["endings"] == {"built": 3, "failed": 1}
    assert [build["build_id"] for build in chunk["builds"]] == NAMES[:4]  # type: ignore[attr-defined]
    assert ledger.ended(end(ledger, *range(4, 10)))
    written = objects(bucket)
    assert sorted(written) == ["chunk-000.json", "chunk-001.json", "chunk-002.json", "matrix.json", "summary.json"]
    summary = written["summary.json"]
    assert (summary["planned"], summary["endings"], summary["chunks"]) == (10, {"built": 9, "failed": 1}, 3)
    [run] = ledger.runs.runs()
    assert not run.is_open
    assert list(ledger.left()) == []
    totals = ledger.runs.totals([run.id])[run.id]
    assert (totals.planned, totals.left, totals.make_seconds) == (10, 0, 20.0)


def test_a_ledger_that_is_opened_again_goes_on(ledger: Ledger, store: Store, bucket: Bucket) -> None:
    look(ledger)
    ledger.ended(end(ledger, 0, 5))
    end(ledger, 1)  # and then it was killed
    again = made(store, bucket)
    look(again, due=set(NAMES) - {NAMES[n] for n in (0, 1, 5)})
    assert [str(entry.build_id) for entry in again.left()] == [NAMES[n] for n in (2, 3, 4, 6, 7, 8, 9)]
    again.ended(end(again, 2, 3, 4, 6, 7, 8, 9))
    assert objects(bucket)["summary.json"]["endings"] == {"built": 10}
    assert len(store.outcomes()) == 10


def test_what_appears_during_a_run_comes_first_in_one_of_its_own(ledger: Ledger) -> None:
    look(ledger, due=NAMES[:8])
    look(ledger, due=NAMES)
    assert [str(entry.build_id) for entry in ledger.left()] == NAMES[8:] + NAMES[:8]
    assert [run.is_open for run in ledger.runs.runs()] == [True, True]


def test_a_build_whose_compiler_was_learned_stays_in_its_run(ledger: Ledger, store: Store, bucket: Bucket) -> None:
    look(ledger, due=NAMES[:3])
    assumed, other = NAMES[:2]
    keys = {**KEYS, assumed: "learned", other: "new"}
    again = made(store, bucket)

    def look_again(planned: Sequence[Planned]) -> None:
        wanted = {str(each.entry.build_id): each.key for each in planned}
        again.look(planned, wanted, keys, store.outcomes(), {}, former={assumed: "k0"}, skipped={NAMES[2]: "no gcc"})

    now = [replace(PLAN[0], key="learned"), replace(PLAN[1], key="new")]
    look_again(now)
    _, first = again.runs.runs()
    assert [(str(entry.build_id), entry.key) for entry in again.left()] == [(other, "new"), (assumed, "learned")]
    endings = [(entry.ending, entry.cause) for entry in again.runs.entries(first.id)]
    assert endings == [(None, ""), (Ending.SUPERSEDED, "its inputs changed"), (Ending.SKIPPED, "no gcc")]
    look_again(now)
    assert len(again.runs.runs()) == 2, "and is not planned twice"
    store.put_outcome(replace(outcome_of(0), key="learned"))
    assert again.ended([assumed])
    assert again.runs.entries(first.id)[0].ending is Ending.BUILT


def test_what_cannot_be_built_for_a_while_stays_in_its_run(ledger: Ledger, store: Store, bucket: Bucket) -> None:
    look(ledger)
    again = made(store, bucket)
    # as when a source was added, which has not been read, or an image cannot be made
    look(again, due=(), waiting=NAMES)
    assert [str(entry.build_id) for entry in again.left()] == NAMES
    look(again, due=(), waiting=NAMES[:3])
    assert [str(entry.build_id) for entry in again.left()] == NAMES[:3]
    look(again, due=NAMES[:3])
    assert [run.is_open for run in again.runs.runs()] == [True], "and is not planned twice"


def test_it_cannot_tell_how_a_build_ended_that_left_nothing(ledger: Ledger) -> None:
    look(ledger)
    assert not ledger.ended(NAMES[:1])
    assert not ledger.ended(["loop/debian-sid-amd64/9.9-amd64"])
    assert len(list(ledger.left())) == 10


def test_a_fault_of_the_farm_ends_its_entry_and_becomes_a_retry(ledger: Ledger) -> None:
    look(ledger, due=NAMES[:1])
    hold = Hold(build_id=PLAN[0].entry.build_id, key="k0", reason="no engine", tries=4, noted=2e9, until=3e9)
    ledger.runs.put_holds([hold])
    assert ledger.ended(NAMES[:1])
    [run] = ledger.runs.runs()
    [entry] = ledger.runs.entries(run.id)
    assert (entry.ending, entry.cause, run.is_open) == (Ending.FAULT, "no engine", False)
    assert ledger.runs.holds() == {NAMES[0]: hold}


def test_a_cancelled_run_lets_what_runs_end(ledger: Ledger, bucket: Bucket) -> None:
    look(ledger)
    ledger.ended(end(ledger, 0))
    [run] = ledger.runs.runs()
    assert ledger.cancel(run.id, by="ada", running={NAMES[1], NAMES[2]}) == (NAMES[1], NAMES[2])
    look(ledger, due=NAMES[1:3])
    assert [str(entry.build_id) for entry in ledger.left()] == NAMES[1:3]
    ledger.ended(end(ledger, 1, 2))
    summary = objects(bucket)["summary.json"]
    assert (summary["cancelled"], summary["endings"]) == ("ada", {"built": 3, "cancelled": 7})
    assert {name: hold.until for name, hold in ledger.runs.holds().items()} == dict.fromkeys(NAMES[3:], float("inf"))
    with pytest.raises(NotFound, match=r"no run .* is open"):
        ledger.cancel(run.id, by="ada", running=())


def test_while_the_bucket_is_away_nothing_starts_and_nothing_is_lost(store: Store, tmp_path: Path) -> None:
    with serving(tmp_path / "s3") as server:
        bucket = server.bucket("kmodci")
        bucket.ensure()
        ledger = made(store, bucket)
        look(ledger, due=NAMES[:4])
        server.stop()
        with pytest.raises(StoreError):
            ledger.ended(end(ledger, 0, 1, 2, 3))
        with pytest.raises(StoreError):
            look(ledger, due=NAMES[4:])
        assert [run.is_open for run in ledger.runs.runs()] == [True], "the run that was to be opened is not"
        server.start()
        look(ledger, due=NAMES[4:])
        assert {"chunk-000.json", "matrix.json", "summary.json"} == set(objects(bucket))
        assert [run.is_open for run in ledger.runs.runs()] == [True, False]
