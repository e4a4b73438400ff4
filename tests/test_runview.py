from collections.abc import Sequence
from dataclasses import replace

import pytest
from kmodci.matrix import Why
from kmodci.model import BuildId
from kmodci.runs import Ending, Run, RunEntry
from kmodci.runview import NOT_BUILT, PAGE_LENGTH, of_ending, plain, plain_whole, view
from support.kernels import kernels

RUN = Run(id="2026-11-23-231500", started=1000.0, slots=2)
NOW = 1120.0


def entries(count: int, *endings: Ending) -> list[RunEntry]:
    """Of real kernels, over as many modules as it takes; the first have ended so."""
    known = kernels()
    every = [
        RunEntry(
            build_id=BuildId(module=f"m{n // len(known)}", target=kernel.target, release=kernel.release),
            key=str(n),
            why=Why.NEW_KERNEL,
            chunk=n // 8,
        )
        for n in range(count)
        for kernel in [known[n % len(known)]]
    ]
    return [
        replace(each, ending=ending, finished=1100.0, seconds=2.0, build_url=f"http://127.0.0.1/#/{each.key}")
        for each, ending in zip(every, endings, strict=False)
    ] + every[len(endings) :]


def names(rows: Sequence[RunEntry]) -> list[str]:
    return [str(each.build_id) for each in rows]


def test_an_open_run_has_a_rate_and_an_estimate() -> None:
    every = entries(20, *[Ending.BUILT] * 4, Ending.FAILED)
    seen = view(RUN, every, NOW)
    assert (seen.state, seen.wall, seen.rate) == ("open", 120.0, 2.5)
    assert seen.eta == 15 / 2.5 * 60
    assert (seen.totals.left, seen.totals[Ending.BUILT], seen.whys) == (15, 4, {Why.NEW_KERNEL: 20})


def test_what_was_cancelled_makes_nothing_faster() -> None:
    every = entries(20, *[Ending.BUILT] * 5, *[Ending.CANCELLED] * 8, Ending.SUPERSEDED)
    seen = view(replace(RUN, cancelled="me"), every, NOW)
    assert (seen.rate, seen.eta, seen.totals.left) == (2.5, 6 / 2.5 * 60, 6)


def test_a_run_that_has_ended_stands_still() -> None:
    run = replace(RUN, finished=1060.0)
    seen, later = (view(run, entries(2, Ending.BUILT, Ending.BUILT), now) for now in (NOW, NOW + 500))
    assert (seen.state, seen.wall, seen.rate, seen.eta) == ("ended", 60.0, 2.0, None)
    assert later == seen


def test_a_run_that_has_just_begun_estimates_nothing() -> None:
    seen = view(RUN, entries(3), RUN.started)
    assert (seen.rate, seen.eta, seen.groups) == (0.0, None, ())


def test_equal_causes_are_one_group_and_failures_come_first() -> None:
    every = entries(6, Ending.SKIPPED, Ending.FAILED, Ending.FAILED, Ending.FAULT, Ending.FAILED, Ending.BUILT)
    causes = [
        "dkms.conf: not meant for it",
        f"/build/src/a.c:10:3: error: too few arguments for {every[1].build_id.release}",
        f"/other/src/a.c:12:9: error: too few arguments for {every[2].build_id.release}",
        "the farm failed it 4 times: engine down",
        "/build/src/a.c:1:1: error: unknown type name",
        "",
    ]
    every = [replace(each, cause=cause) for each, cause in zip(every, causes, strict=True)]
    groups = view(RUN, every, NOW).groups
    assert [(group.ending, len(group.builds)) for group in groups] == [
        (Ending.FAILED, 2),
        (Ending.FAILED, 1),
        (Ending.FAULT, 1),
        (Ending.SKIPPED, 1),
    ]
    assert groups[0].cause == "too few arguments for ..."
    assert groups[0].builds == (every[1].build_id, every[2].build_id)


def test_every_ending_but_built_has_its_place_among_the_groups() -> None:
    assert set(NOT_BUILT) | {Ending.BUILT} == set(Ending)


def test_what_has_not_ended_runs_or_waits() -> None:
    every = entries(3, Ending.BUILT)
    done, runs, waits = names(every)
    seen = view(RUN, every, NOW, running={runs: "http://127.0.0.1/#/9"}, waiting={waits: "no image", done: "nothing"})
    assert [(row.build_id, row.state, row.cause, row.url) for row in seen.rows] == [
        (done, "built", "", "http://127.0.0.1/#/0"),
        (runs, "running", "", "http://127.0.0.1/#/9"),
        (waits, "waiting", "no image", ""),
    ]
    assert [row.build_id for row in seen.running] == [runs]


def test_some_can_be_chosen() -> None:
    every = entries(5, Ending.BUILT, Ending.FAILED, Ending.BUILT)
    assert names(of_ending(every, "built")) == [names(every)[0], names(every)[2]]
    assert names(of_ending(every, "left")) == names(every)[3:]
    assert of_ending(every, "") == every
    seen = view(RUN, every, NOW, chosen="failed")
    assert ([row.build_id for row in seen.rows], seen.count) == ([names(every)[1]], 1)
    assert seen.totals.planned == 5, "the sums are of all"
    with pytest.raises(ValueError, match="perhaps"):
        of_ending(every, "perhaps")


@pytest.mark.parametrize(
    ("page", "shown", "first"), [(1, 1, 0), (2, 2, PAGE_LENGTH), (3, 3, 2 * PAGE_LENGTH), (9, 3, 200), (0, 1, 0)]
)
def test_many_are_shown_in_pages(page: int, shown: int, first: int) -> None:
    every = entries(2 * PAGE_LENGTH + 1)
    seen = view(RUN, every, NOW, page=page)
    assert (seen.page, seen.pages, seen.count) == (shown, 3, len(every))
    assert [row.build_id for row in seen.rows] == names(every)[first : first + PAGE_LENGTH]


def test_only_addresses_of_the_web_become_links() -> None:
    [entry] = entries(1, Ending.BUILT)
    [row] = view(RUN, [replace(entry, build_url="javascript:alert(1)")], NOW).rows
    assert row.url == ""


def test_for_programs_it_is_the_same_and_adds_up() -> None:
    every = entries(5, Ending.BUILT, Ending.FAILED)
    run = replace(RUN, cancelled="me@example.org")
    seen = view(run, every, NOW)
    found = plain_whole(seen, of_ending(every, "failed"))
    assert {**plain(run, seen.totals), **found} == found
    assert found["state"] == "cancelled by me@example.org"
    assert found["planned"] == sum(int(str(found[str(ending)])) for ending in Ending) + 3
    assert [build["ending"] for build in found["builds"]] == ["failed"]
