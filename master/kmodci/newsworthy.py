"""Decides what is worth telling, and does nothing.

A run is told when it has ended. A group of failures (one module, one cause) is told once, however many kernels it
has: when the runs that were open as it appeared have ended, or after `PATIENCE`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .causes import group_name
from .coverage import Standing
from .matrix import Why
from .model import Status
from .news import CauseNews, FailingGroup, FailureNews, ManyFailuresNews, RunNews
from .runs import Ending, Run, RunEntry, totals
from .runview import groups, state

PATIENCE = 900.0
"""seconds that a new group waits for the end of an open run"""
MOST = 10
"""groups that are told one by one at once; of more, the smaller are told together"""
_SHOWN = 5
_BUILDS = 20
# of these a run's counts say enough
_UNTOLD = (Ending.SUPERSEDED, Ending.CANCELLED)
GroupName = tuple[str, str]
"""a module, and the cause"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A group of failures as it is remembered. Times are seconds since the epoch; 0 is not yet."""

    module: str
    cause: str
    seen: float
    told: float = 0.0
    mended: float = 0.0
    """when nothing of it failed any more; the next run's message says so"""
    builds: frozenset[str] = frozenset()
    """build ids: those that fail, and those that did and are to be built anew"""

    @property
    def name(self) -> GroupName:
        return self.module, self.cause


def failing(standing: Iterable[Standing]) -> dict[GroupName, list[Standing]]:
    """What fails, by module and cause."""
    found: dict[GroupName, list[Standing]] = {}
    for each in standing:
        if each.status is Status.FAILED:
            name = (each.entry.build_id.module, group_name(each.cause, each.entry.kernel.release))
            found.setdefault(name, []).append(each)
    return found


def follow(known: Iterable[Known], standing: Sequence[Standing], *, now: float, since: float) -> tuple[Known, ...]:
    """The groups as they are now. since: what failed before that is known, and no news.

    A group has gone when none of its builds fails, nor is about to be built anew: a new version of a module, or of a
    compiler, is no reason to tell of the same failure again. One that has gone and comes back is new.
    """
    before = {each.name: each for each in known}
    status = {str(each.entry.build_id): each.status for each in standing}
    after: list[Known] = []
    for name, group in failing(standing).items():
        old = before.pop(name, None)
        if old is None or old.mended:
            is_old = all(each.outcome is not None and each.outcome.finished < since for each in group)
            old = Known(module=name[0], cause=name[1], seen=now, told=now if is_old else 0.0)
        open_still = {build for build in old.builds if status.get(build) is Status.PENDING}
        after.append(replace(old, builds=frozenset(str(each.entry.build_id) for each in group) | open_still))
    for old in before.values():
        open_still = {build for build in old.builds if status.get(build) is Status.PENDING}
        if open_still:
            after.append(replace(old, builds=frozenset(open_still)))
        elif old.told:
            after.append(replace(old, mended=old.mended or now, builds=frozenset()))
    return tuple(after)


def is_ripe(group: Known, open_runs: Iterable[Run], now: float) -> bool:
    """Whether it is time to tell of it: no run is open that was when it appeared, or it has waited long enough."""
    if group.told or group.mended:
        return False
    return now - group.seen >= PATIENCE or all(run.started > group.seen for run in open_runs)


def is_news(run: Run, entries: Sequence[RunEntry]) -> bool:
    """Whether a run that has ended came to anything that was not known before it.

    What a mirror does not have is asked for again every few hours, and what the farm failed every few minutes; a
    run that found no more than that is not told. A cancelled one is.
    """
    return bool(run.cancelled) or any(map(_is_news, entries))


def of_run(run: Run, entries: Sequence[RunEntry], *, mended: Iterable[Known], url: str) -> RunNews:
    """What there is to tell of it. url: of its page.

    mended: groups that fail no more. A run that was asked for by hand does not say so: not everybody is told of it,
    and the next one says it to all.
    """
    found, is_forced = totals(entries), all(entry.why is Why.FORCED for entry in entries)
    causes = [group for group in groups(entries) if group.ending not in _UNTOLD]
    largest = sorted(causes, key=lambda group: -len(group.builds))[:_SHOWN]
    return RunNews(
        run=run.id,
        url=url,
        state=state(run),
        is_forced=is_forced,
        started=run.started,
        finished=run.finished,
        planned=found.planned,
        endings={ending: found[ending] for ending in Ending if found[ending]},
        causes=tuple(
            CauseNews(
                ending=group.ending,
                cause=group.cause,
                kernels=len({str(build).partition("/")[2] for build in group.builds}),
                modules=tuple(sorted({build.module for build in group.builds})),
            )
            for group in largest
        ),
        more_causes=len(causes) - len(largest),
        mended=tuple(FailingGroup(module=each.module, cause=each.cause) for each in mended if not is_forced),
    )


def of_failures(
    ripe: Collection[Known], now_failing: Mapping[GroupName, Sequence[Standing]], pages: Mapping[GroupName, str]
) -> list[FailureNews | ManyFailuresNews]:
    """One for each group, the largest first; one for all the smaller ones if there are too many. pages: URLs."""
    found = sorted((each for each in ripe if each.name in now_failing), key=lambda each: -len(now_failing[each.name]))
    told, rest = (found, []) if len(found) <= MOST else (found[: MOST - 1], found[MOST - 1 :])
    news: list[FailureNews | ManyFailuresNews] = [
        _of_failure(each, now_failing[each.name], pages[each.name]) for each in told
    ]
    if rest:
        builds = [build for each in rest for build in now_failing[each.name]]
        news.append(
            ManyFailuresNews(
                groups=len(rest),
                kernels=len({str(build.entry.kernel) for build in builds}),
                largest=tuple(FailingGroup(module=each.module, cause=each.cause) for each in rest[:_SHOWN]),
                url=Counter(pages[each.name] for each in rest).most_common(1)[0][0],
            )
        )
    return news


def _of_failure(group: Known, builds: Sequence[Standing], url: str) -> FailureNews:
    last = max((build.outcome for build in builds if build.outcome), key=lambda outcome: outcome.finished, default=None)
    return FailureNews(
        module=group.module,
        cause=group.cause,
        since=group.seen,
        builds=tuple(str(build.entry.build_id) for build in builds[:_BUILDS]),
        kernels=len(builds),
        url=url,
        build_url=last.build_url if last else "",
    )


def _is_news(entry: RunEntry) -> bool:
    match entry.ending:
        case Ending.SUPERSEDED:
            return False
        case Ending.FAULT | Ending.UNAVAILABLE:
            return entry.why is not Why.RETRY
    return True
