from collections.abc import Sequence
from dataclasses import replace

import pytest
from kmodci.matrix import Entry, Planned, Why
from kmodci.model import BuildId, Hold, Kernel, Outcome, Status
from kmodci.runrecords import chunk_record, matrix_record, summary_record
from kmodci.runs import Ending, Run, RunEntry, cut, eta, eta_of, new_id, settle, totals
from support.kernels import kernels

RUN = Run(id="2026-11-23-231500", started=100.0, slots=2)


def planned(count: int, why: Why = Why.NEW_KERNEL) -> list[Planned]:
    """Of as many real kernels."""
    return [_planned(kernel, why) for kernel in kernels()[:count]]


def _planned(kernel: Kernel, why: Why) -> Planned:
    name = BuildId(module="loop", target=kernel.target, release=kernel.release)
    return Planned(entry=Entry(build_id=name, kernel=kernel), key=f"key of {name}", why=why)


def outcome(entry: RunEntry, status: Status = Status.BUILT, *, finished: float = 150.0, key: str = "") -> Outcome:
    return Outcome(
        build_id=entry.build_id,
        key=key or entry.key,
        status=status,
        cause="" if status is Status.BUILT else "error: so it is",
        module_version="1",
        kernel_version="1",
        finished=finished,
        seconds=5.0,
        make_seconds=2.0,
        build_url="http://127.0.0.1/1",
    )


def cut_new(planned: Sequence[Planned], *, length: int) -> tuple[RunEntry, ...]:
    """Of builds that were never tried."""
    return cut(planned, length=length, outcomes={}, holds={})


def ended(entries: Sequence[RunEntry]) -> list[RunEntry]:
    """All built, one after the other."""
    return [
        settle(each, outcome=outcome(each, finished=101.0 + n), hold=None, due=None, keys=None)
        for n, each in enumerate(entries)
    ]


def test_a_run_is_cut_into_chunks_in_the_order_of_its_plan() -> None:
    entries = cut_new(planned(20), length=8)
    assert [entry.chunk for entry in entries] == [0] * 8 + [1] * 8 + [2] * 4
    assert [entry.build_id for entry in entries] == [each.entry.build_id for each in planned(20)]
    assert {entry.ending for entry in entries} == {None}


def test_ids_sort_by_time_and_are_never_given_twice() -> None:
    assert new_id(1795475700.4, ()) == "2026-11-23-231500"
    assert new_id(1795475700.9, {"2026-11-23-231500"}) == "2026-11-23-231500-2"
    assert new_id(1795475700.9, {"2026-11-23-231500", "2026-11-23-231500-2"}) == "2026-11-23-231500-3"


class TestSettle:
    @pytest.fixture
    def entry(self) -> RunEntry:
        return cut_new(planned(1), length=1)[0]

    @staticmethod
    def settled(entry: RunEntry, **known: object) -> RunEntry:
        due = {str(entry.build_id): entry.key}
        return settle(entry, **{"outcome": None, "hold": None, "due": due, "keys": due, **known})  # type: ignore[arg-type]

    def test_what_is_still_due_stays_open(self, entry: RunEntry) -> None:
        assert self.settled(entry) == entry
        assert self.settled(entry, due=None, keys=None) == entry

    @pytest.mark.parametrize("status", [Status.BUILT, Status.FAILED, Status.UNAVAILABLE, Status.SKIPPED])
    def test_it_ends_as_its_build_did(self, entry: RunEntry, status: Status) -> None:
        after = self.settled(entry, outcome=outcome(entry, status), due={})
        assert (after.ending, after.finished, after.make_seconds) == (Ending(status.value), 150.0, 2.0)
        assert after.cause == ("" if status is Status.BUILT else "error: so it is")

    def test_an_outcome_of_before_the_run_or_of_other_inputs_does_not_count(self, entry: RunEntry) -> None:
        again = replace(entry, outcome_before=150.0, why=Why.RETRY)
        assert self.settled(again, outcome=outcome(entry, Status.UNAVAILABLE, finished=150.0)).ending is None
        assert self.settled(again, outcome=outcome(entry, finished=20.0)).ending is Ending.BUILT, (
            "the clock was set back"
        )
        assert self.settled(entry, outcome=outcome(entry, key="other")).ending is None

    def test_a_fault_of_the_farm_and_a_cancelled_build(self, entry: RunEntry) -> None:
        hold = Hold(build_id=entry.build_id, key=entry.key, reason="no engine", tries=1, noted=150.0)
        assert self.settled(entry, hold=hold).ending is Ending.FAULT
        assert self.settled(entry, hold=replace(hold, tries=0)).ending is Ending.CANCELLED
        again = replace(entry, hold_before=150.0, why=Why.RETRY)
        assert self.settled(again, hold=hold).ending is None, "of before: this is the retry"

    def test_what_is_not_due_any_more_is_superseded(self, entry: RunEntry) -> None:
        name = str(entry.build_id)
        gone = self.settled(entry, due={}, keys={})
        assert (gone.ending, gone.cause) == (Ending.SUPERSEDED, "not due any more")
        other = self.settled(entry, due={name: "new"}, keys={name: "new"})
        assert (other.ending, other.cause) == (Ending.SUPERSEDED, "its inputs changed")

    def test_what_is_left_out_now_says_why(self, entry: RunEntry) -> None:
        left_out = self.settled(entry, due={}, keys={}, skipped="no toolchain clang-19")
        assert (left_out.ending, left_out.cause) == (Ending.SKIPPED, "no toolchain clang-19")
        ended = self.settled(entry, outcome=outcome(entry), due={}, keys={}, skipped="no toolchain clang-19")
        assert ended.ending is Ending.BUILT, "before it was left out"

    def test_what_was_forced_need_not_be_due(self, entry: RunEntry) -> None:
        forced = replace(entry, why=Why.FORCED)
        name = str(entry.build_id)
        assert self.settled(forced, due={}, keys={name: entry.key}) == forced
        assert self.settled(forced, due={}, keys={name: "new"}).ending is Ending.SUPERSEDED


def test_a_run_adds_up() -> None:
    entries = cut_new(planned(10), length=4)
    some = [*ended(entries[:6]), *entries[6:]]
    found = totals(some)
    assert (found.planned, found[Ending.BUILT], found[Ending.FAILED], found.left) == (10, 6, 0, 4)
    assert (found.seconds, found.make_seconds) == (30.0, 12.0)
    assert found.efficiency(cores=2, wall=10.0) == 0.6
    assert eta(RUN, some, now=160.0) == pytest.approx(40.0)
    assert eta_of(RUN, totals(some), now=160.0) == pytest.approx(40.0)
    assert eta(RUN, entries, now=160.0) is None
    assert eta_of(RUN, totals(entries), now=160.0) is None
    assert eta(replace(RUN, finished=160.0), ended(entries), now=170.0) is None
    assert eta_of(replace(RUN, finished=160.0), totals(ended(entries)), now=170.0) is None
    assert totals([]).efficiency(cores=2, wall=0.0) == 0.0


def test_records_tell_all_of_a_run_and_nothing_twice() -> None:
    entries = cut_new([*planned(5), *(replace(each, why=Why.RETRY) for each in planned(9)[5:])], length=4)
    matrix = matrix_record(RUN, entries)
    assert matrix.whys == {Why.NEW_KERNEL: 5, Why.RETRY: 4}
    assert [build.build_id for build in matrix.builds] == [str(entry.build_id) for entry in entries]
    done = ended(entries)
    chunks = [chunk_record(RUN, n, [e for e in done if e.chunk == n]) for n in range(3)]
    assert [build.build_id for chunk in chunks for build in chunk.builds] == [b.build_id for b in matrix.builds]
    summary = summary_record(replace(RUN, finished=200.0), done)
    assert (summary.planned, summary.endings, summary.chunks) == (9, {Ending.BUILT: 9}, 3)
    assert sum(summary.endings.values()) == summary.planned
