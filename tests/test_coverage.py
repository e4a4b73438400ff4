from collections.abc import Sequence
from dataclasses import replace

import pytest
from kmodci.coverage import Standing, Tally, causes, coverage, standings
from kmodci.matrix import Entry
from kmodci.model import BuildId, Outcome, Status
from support.kernels import kernels

ENTRIES = [
    Entry(build_id=BuildId(module="loop", target=kernel.target, release=kernel.release), kernel=kernel)
    for kernel in kernels()
]


def outcome(entry: Entry, status: Status, cause: str = "") -> Outcome:
    return Outcome(
        build_id=entry.build_id,
        key=f"key of {entry.build_id}",
        status=status,
        cause=cause,
        module_version="1.0",
        kernel_version=entry.kernel.version,
        finished=1.0,
    )


def keys(entries: Sequence[Entry]) -> dict[str, str]:
    return {str(entry.build_id): f"key of {entry.build_id}" for entry in entries}


def standing(entry: Entry, last: Outcome | None, key: str | None = None) -> Standing:
    name = str(entry.build_id)
    (found,) = standings([entry], {name: last} if last else {}, {name: key} if key else {})
    return found


def test_a_build_stands_as_its_last_outcome_says() -> None:
    entry = ENTRIES[0]
    last = outcome(entry, Status.FAILED, "no such field")
    found = standing(entry, last, last.key)
    assert (found.status, found.cause, found.outcome) == (Status.FAILED, "no such field", last)


def test_a_build_of_other_inputs_is_pending_and_one_of_unknown_inputs_is_not() -> None:
    entry = ENTRIES[0]
    last = outcome(entry, Status.BUILT)
    assert standing(entry, None).status is Status.PENDING
    assert standing(entry, last, "another key").status is Status.PENDING
    assert standing(entry, last).status is Status.BUILT


def test_what_is_skipped_is_so_whatever_was_before() -> None:
    entry = replace(ENTRIES[0], skipped="too old")
    found = standing(entry, outcome(entry, Status.BUILT))
    assert (found.status, found.cause) == (Status.SKIPPED, "too old")


@pytest.mark.parametrize(
    ("last", "key", "status"),
    [
        (None, "k", Status.UNAVAILABLE),
        (Status.UNAVAILABLE, "", Status.UNAVAILABLE),
        (Status.BUILT, "another key", Status.UNAVAILABLE),
        (Status.BUILT, "", Status.BUILT),
        (Status.FAILED, "", Status.FAILED),
    ],
)
def test_what_is_lost_is_unavailable_unless_it_ended_before(last: Status | None, key: str, status: Status) -> None:
    entry = replace(ENTRIES[0], lost="gone from sid main since 2026-11-24")
    ended = outcome(entry, last, "404") if last else None
    found = standing(entry, ended, key or (ended.key if ended else ""))
    assert found.status is status
    assert found.cause == (entry.lost if status is Status.UNAVAILABLE else "404")
    assert found.outcome == ended


def test_kernels_that_are_gone_are_counted_beside_the_rest() -> None:
    gone = [replace(entry, kernel=replace(entry.kernel, gone=5.0)) for entry in ENTRIES[:3]]
    found = coverage(standings([*gone, *ENTRIES[3:]], {}, keys(ENTRIES)))
    assert (found.gone, found.tally.total) == (3, 249)
    assert sum(row.gone for row in found.rows) == 3


def test_rows_add_up_to_the_whole() -> None:
    outcomes = {str(entry.build_id): outcome(entry, Status.BUILT) for entry in ENTRIES[::2]}
    found = coverage(standings(ENTRIES, outcomes, keys(ENTRIES)))
    assert found.tally.total == 249
    assert sum(row.tally.total for row in found.rows) == 249
    assert found.tally[Status.BUILT] == sum(row.tally[Status.BUILT] for row in found.rows) == 125
    assert [(row.target, row.flavour) for row in found.rows] == sorted((row.target, row.flavour) for row in found.rows)
    assert ("debian-trixie-arm64", "arm64-16k") in {(row.target, row.flavour) for row in found.rows}


@pytest.mark.parametrize(
    ("counts", "percent"),
    [
        ({}, 100.0),
        ({Status.SKIPPED: 3}, 100.0),
        ({Status.BUILT: 3, Status.SKIPPED: 3}, 100.0),
        ({Status.BUILT: 9999, Status.PENDING: 1}, 99.9),
        ({Status.BUILT: 1, Status.FAILED: 1, Status.UNAVAILABLE: 1, Status.SKIPPED: 1}, 33.3),
    ],
)
def test_percent_is_of_what_should_be_built(counts: dict[Status, int], percent: float) -> None:
    assert Tally(counts=counts).percent == percent


def test_what_is_stuck_has_a_cause_and_what_waits_for_its_turn_has_none() -> None:
    builds = standings(ENTRIES[:3], {}, keys(ENTRIES))
    stuck = {str(entry.build_id): "no image for gcc-12" for entry in ENTRIES[:2]}
    assert causes(builds) == ()
    (found,) = causes(builds, stuck)
    assert (found.status, found.cause, found.builds) == (Status.PENDING, "no image for gcc-12", tuple(stuck))


def test_flavours_may_be_counted_together() -> None:
    found = coverage(standings(ENTRIES, {}, keys(ENTRIES)), by_flavour=False)
    assert len(found.rows) == 10
    assert {row.flavour for row in found.rows} == {""}


def test_a_cause_that_names_its_kernel_or_its_package_is_one_cause_for_all() -> None:
    first, second = ENTRIES[:2]
    builds = [
        Standing(entry=each, status=Status.UNAVAILABLE, cause=f"gone: http://mirror/pool/l/{each.kernel.release}.deb")
        for each in (first, second)
    ] + [
        Standing(entry=each, status=Status.SKIPPED, cause=f"not for {each.kernel.release}") for each in (first, second)
    ]
    assert {(found.status, found.cause, len(found.builds)) for found in causes(builds)} == {
        (Status.UNAVAILABLE, "gone: http://mirror/pool/l/...", 2),
        (Status.SKIPPED, "not for ...", 2),
    }
