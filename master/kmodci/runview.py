"""What the page of a run shows, and `kmodci runs` tells. Decides, and does nothing."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .causes import group_name
from .matrix import Why
from .model import BuildId
from .runs import Ending, Run, RunEntry, Totals, eta, rate, totals

NOT_BUILT = (
    Ending.FAILED,
    Ending.FAULT,
    Ending.UNAVAILABLE,
    Ending.SKIPPED,
    Ending.CANCELLED,
    Ending.SUPERSEDED,
)
"""the worst first"""
LEFT = "left"
"""the word for what has not ended, where else there is an ending"""
PAGE_LENGTH = 100
"""builds"""
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Builds of a run that were not built for one cause (`causes.group_name`), in the order of the plan."""

    ending: Ending
    cause: str
    builds: tuple[BuildId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One build of a run, as it is shown."""

    build_id: str
    why: Why
    state: str
    """an ending, or `running`, or `waiting`"""
    cause: str
    """or what it waits for"""
    seconds: float
    url: str
    """of the build in Buildbot; empty if there is none yet"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One look at a run."""

    run: Run
    state: str
    totals: Totals
    whys: Mapping[Why, int]
    """the most frequent first"""
    wall: float
    """seconds that it took, or has taken so far"""
    rate: float
    """builds a minute, without those that were cancelled"""
    eta: float | None
    """seconds until it will have ended; None if that cannot be said"""
    groups: tuple[Group, ...]
    """the worst ending first, of each the most frequent cause"""
    running: tuple[Row, ...]
    chosen: str
    """the ending that `rows` are of, or `left`; empty if all"""
    rows: tuple[Row, ...]
    page: int
    """of the rows, from 1"""
    pages: int
    count: int
    """rows of all pages"""


def view(
    run: Run,
    entries: Sequence[RunEntry],
    now: float,
    *,
    running: Mapping[str, str] = _NONE,
    waiting: Mapping[str, str] = _NONE,
    chosen: str = "",
    page: int = 1,
) -> RunView:
    """A run as it stands. entries: all of it, in the order of the plan; now: seconds since the epoch.

    running: build id -> address of the build; waiting: build id -> what it waits for, if it is more than its turn.
    A page that there is not becomes the nearest that there is.
    """
    found = totals(entries)
    shown = of_ending(entries, chosen)
    pages = max(1, -(-len(shown) // PAGE_LENGTH))
    page = min(max(page, 1), pages)
    return RunView(
        run=run,
        state=state(run),
        totals=found,
        whys=dict(Counter(each.why for each in entries).most_common()),
        wall=wall(run, now),
        rate=60 * rate(run, entries, now),
        eta=eta(run, entries, now),
        groups=groups(entries),
        running=tuple(
            _row(each, running, waiting) for each in entries if each.ending is None and str(each.build_id) in running
        ),
        chosen=chosen,
        rows=tuple(_row(each, running, waiting) for each in shown[(page - 1) * PAGE_LENGTH : page * PAGE_LENGTH]),
        page=page,
        pages=pages,
        count=len(shown),
    )


def of_ending(entries: Sequence[RunEntry], chosen: str) -> Sequence[RunEntry]:
    """Those that ended so. chosen: an ending, `left`, or empty for all. Raises ValueError for another word."""
    if not chosen:
        return entries
    ending = None if chosen == LEFT else Ending(chosen)
    return [each for each in entries if each.ending is ending]


def state(run: Run) -> str:
    """In a word or two."""
    if run.cancelled:
        return f"cancelled by {run.cancelled}"
    return "open" if run.is_open else "ended"


def wall(run: Run, now: float) -> float:
    """Seconds that it took, or has taken so far. now: seconds since the epoch."""
    return (run.finished or now) - run.started


def plain(run: Run, found: Totals) -> dict[str, object]:
    """A run added up, for JSON."""
    return {
        "id": run.id,
        "state": state(run),
        "started": run.started,
        "finished": run.finished or None,
        "planned": found.planned,
        **{str(ending): found[ending] for ending in Ending},
        LEFT: found.left,
        "make_seconds": round(found.make_seconds, 1),
    }


def plain_whole(seen: RunView, entries: Collection[RunEntry]) -> dict[str, object]:
    """A run with these of its builds, for JSON."""
    return {
        **plain(seen.run, seen.totals),
        "why": seen.whys,
        "builds_a_minute": round(seen.rate, 2),
        "eta_seconds": None if seen.eta is None else round(seen.eta),
        "builds": [
            {
                "build_id": str(each.build_id),
                "why": each.why,
                "chunk": each.chunk,
                "ending": each.ending,
                "cause": each.cause,
                "seconds": round(each.seconds, 3),
                "build_url": each.build_url,
            }
            for each in entries
        ],
    }


def groups(entries: Sequence[RunEntry]) -> tuple[Group, ...]:
    """What was not built, by ending and cause: the worst ending first, of each the most frequent cause."""
    found: dict[tuple[Ending, str], list[BuildId]] = {}
    for each in entries:
        if each.ending in NOT_BUILT:
            cause = group_name(each.cause, each.build_id.release)
            found.setdefault((each.ending, cause), []).append(each.build_id)
    every = [Group(ending=ending, cause=cause, builds=tuple(builds)) for (ending, cause), builds in found.items()]
    return tuple(sorted(every, key=lambda group: (NOT_BUILT.index(group.ending), -len(group.builds), group.cause)))


def _row(entry: RunEntry, running: Mapping[str, str], waiting: Mapping[str, str]) -> Row:
    name = str(entry.build_id)
    url = running.get(name, "") if entry.ending is None else entry.build_url
    return Row(
        build_id=name,
        why=entry.why,
        state=entry.ending or ("running" if name in running else "waiting"),
        cause=entry.cause if entry.ending or name in running else waiting.get(name, ""),
        seconds=entry.seconds,
        # an address may have been read back from the bucket
        url=url if url.startswith(("http://", "https://")) else "",
    )
