import math
from collections.abc import Mapping
from dataclasses import replace

from kmodci.coverage import Standing
from kmodci.matrix import Why
from kmodci.model import BuildId, Status
from kmodci.news import FailingGroup, FailureNews, ManyFailuresNews
from kmodci.newsworthy import MOST, PATIENCE, Known, failing, follow, is_news, is_ripe, of_failures, of_run
from kmodci.runs import Ending, Run, RunEntry
from support.standings import KERNELS, standing

RUN = Run(id="2026-11-28-121243", started=100.0)


def failed(*numbers: int, cause: str = "x.c:7:3: error: no `frob`", module: str = "loop") -> list[Standing]:
    return [standing(number, Status.FAILED, cause, module=module) for number in numbers]


def is_with(number: int, status: Status) -> list[Standing]:
    return [standing(number, status)]


def entry(number: int, ending: Ending | None, cause: str = "", *, why: Why = Why.NEW_KERNEL) -> RunEntry:
    kernel = KERNELS[number]
    build_id = BuildId(module="loop", target=kernel.target, release=kernel.release)
    return RunEntry(build_id=build_id, key="k", why=why, chunk=0, ending=ending, cause=cause)


def test_equal_causes_are_one_group_of_each_module() -> None:
    other = [standing(2, Status.FAILED, "/tmp/y.c:99:1: error: no `frob`")]
    found = failing([*failed(0, 1), *other, *failed(3, module="else"), standing(4, Status.UNAVAILABLE, "no `frob`")])
    assert {name: len(group) for name, group in found.items()} == {("loop", "no `frob`"): 3, ("else", "no `frob`"): 1}


def test_a_group_is_told_once_however_many_kernels_it_gets() -> None:
    [group] = follow((), failed(0, 1), now=10, since=1)
    assert (group.seen, group.told, len(group.builds)) == (10, 0, 2)
    told = replace(group, told=11)
    assert follow([told], failed(0, 1, 2, 3), now=20, since=1) == (
        replace(told, builds=frozenset(str(each.entry.build_id) for each in failed(0, 1, 2, 3))),
    )


def test_what_failed_before_anybody_was_told_is_no_news() -> None:
    [group] = follow((), failed(0), now=100, since=60)
    assert group.told == 100
    later = [*failed(0), standing(1, Status.FAILED, "x.c:1:1: error: no `frob`", finished=70)]
    [group] = follow((), later, now=100, since=60)
    assert group.told == 0


def test_what_is_about_to_be_built_anew_has_not_gone() -> None:
    [known] = follow((), failed(0, 1), now=10, since=1)
    known = replace(known, told=11)
    [waiting] = follow([known], [*is_with(0, Status.PENDING), *is_with(1, Status.PENDING)], now=20, since=1)
    assert (waiting.told, waiting.mended, len(waiting.builds)) == (11, 0, 2)
    # one of both was mended, and the other fails again: it is the same group
    [again] = follow([waiting], [*is_with(0, Status.BUILT), *failed(1)], now=30, since=1)
    assert (again.seen, again.told, again.mended, len(again.builds)) == (10, 11, 0, 1)


def test_what_has_gone_is_mended_and_new_when_it_comes_back() -> None:
    [known] = follow((), failed(0), now=10, since=1)
    [mended] = follow([replace(known, told=11)], is_with(0, Status.BUILT), now=20, since=1)
    assert (mended.mended, mended.builds) == (20, frozenset())
    # noted until a run tells it
    assert follow([mended], is_with(0, Status.BUILT), now=30, since=1) == (mended,)
    [again] = follow([mended], failed(0), now=40, since=1)
    assert (again.seen, again.told, again.mended) == (40, 0, 0)


def test_what_nobody_was_told_of_goes_without_a_word() -> None:
    known = follow((), failed(0), now=10, since=1)
    assert follow(known, is_with(0, Status.BUILT), now=20, since=1) == ()
    # and so does what has left the matrix
    assert follow(known, [], now=20, since=1) == ()


def test_a_group_waits_for_the_runs_that_were_open_when_it_appeared_but_not_for_ever() -> None:
    group = Known(module="loop", cause="c", seen=200)
    assert is_ripe(group, [], 201)
    assert not is_ripe(group, [RUN], 201)
    assert is_ripe(group, [RUN], 200 + PATIENCE)
    assert is_ripe(group, [replace(RUN, started=205)], 206), "a run that began later"
    assert not is_ripe(group, [replace(RUN, started=205), RUN], 206)
    assert not is_ripe(replace(group, told=201), [], 1e9)
    assert not is_ripe(replace(group, mended=201), [], 1e9)


def test_a_run_that_came_to_nothing_new_is_not_told() -> None:
    built, failing_, gone = entry(0, Ending.BUILT), entry(1, Ending.FAILED), entry(2, Ending.UNAVAILABLE)
    assert all(is_news(RUN, [each]) for each in (built, failing_, gone, entry(0, Ending.FAULT)))
    retried = [entry(0, ending, why=Why.RETRY) for ending in (Ending.UNAVAILABLE, Ending.FAULT)]
    assert not is_news(RUN, [*retried, entry(1, Ending.SUPERSEDED)])
    assert is_news(RUN, [*retried, entry(1, Ending.BUILT, why=Why.RETRY)])
    assert is_news(replace(RUN, cancelled="ann"), [entry(1, Ending.SUPERSEDED)])


def test_a_run_is_told_with_its_largest_causes() -> None:
    causes = [("no `a`", 1), ("no `b`", 3)]
    entries = [
        entry(number, Ending.FAILED, f"x.c:1:1: error: {cause}") for cause, count in causes for number in range(count)
    ]
    entries += [entry(4, Ending.BUILT), entry(5, Ending.CANCELLED, "cancelled"), entry(5, Ending.UNAVAILABLE, "404")]
    mended = [Known(module="loop", cause="c", seen=1, told=2, mended=3)]
    news = of_run(replace(RUN, finished=160.0), entries, mended=mended, url="http://f/r")
    assert news.endings == {"built": 1, "failed": 4, "unavailable": 1, "cancelled": 1}
    assert [(cause.ending, cause.cause, cause.kernels, cause.modules) for cause in news.causes] == [
        ("failed", "no `b`", 3, ("loop",)),
        ("failed", "no `a`", 1, ("loop",)),
        ("unavailable", "404", 1, ("loop",)),
    ]
    assert (news.planned, news.more_causes, news.is_forced, news.state) == (7, 0, False, "ended")
    assert news.mended == (FailingGroup(module="loop", cause="c"),)
    many = [entry(number, Ending.FAILED, f"x.c:1:1: error: no `x{number}`") for number in range(6)]
    assert (len(of_run(RUN, many, mended=(), url="").causes), of_run(RUN, many, mended=(), url="").more_causes) == (
        5,
        1,
    )
    forced = of_run(RUN, [entry(0, Ending.BUILT, why=Why.FORCED)], mended=mended, url="")
    assert forced.is_forced and not forced.mended


def news_of(groups: Mapping[str, int]) -> list[FailureNews | ManyFailuresNews]:
    every = [
        each for cause, count in groups.items() for each in failed(*range(count), cause=f"x.c:1:1: error: {cause}")
    ]
    known = follow((), every, now=math.pi, since=1)
    return of_failures(known, failing(every), {each.name: "http://f/r" for each in known})


def test_a_group_is_told_by_itself_the_largest_first() -> None:
    many, few = news_of({"few": 1, "many": 4})
    assert isinstance(many, FailureNews) and isinstance(few, FailureNews)
    assert (many.cause, many.kernels, len(many.builds), many.since) == ("many", 4, 4, math.pi)
    assert (few.cause, few.url, few.build_url) == ("few", "http://f/r", "http://b/0")


def test_a_flood_of_groups_is_cut() -> None:
    assert len(news_of({f"c{number}": 1 for number in range(MOST)})) == MOST
    news = news_of({"big": 3, **{f"c{number:02}": 1 for number in range(MOST + 5)}})
    assert len(news) == MOST
    assert isinstance(news[0], FailureNews) and news[0].cause == "big"
    rest = news[-1]
    assert isinstance(rest, ManyFailuresNews)
    assert (rest.groups, rest.kernels, len(rest.largest), rest.url) == (MOST + 5 + 1 - (MOST - 1), 1, 5, "http://f/r")
