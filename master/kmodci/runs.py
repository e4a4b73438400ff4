"""Runs: all that became due at once, cut into chunks, and how each build of it ended. Decides, and does nothing.

A run is a ledger. What is to be built is always the plan's to say (`matrix.plan`); a run notes what was
planned, follows it to its end, and adds up. Nothing is lost with a run that is interrupted: its open
entries are settled from what is known of their builds at the next look.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from .matrix import Planned, Why
from .model import BuildId, Hold, Outcome, Status
from .release import BadName

_ID = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{6}(?:-[0-9]{1,4})?")


class Ending(StrEnum):
    """How an entry of a run ended."""

    BUILT = "built"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    FAULT = "fault"
    """the farm's, not the module's; planned again later, in another run"""
    SUPERSEDED = "superseded"
    """not due any more: its inputs changed, its kernel left the matrix, or it was built otherwise"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One build of a run. Times are seconds, or seconds since the epoch."""

    build_id: BuildId
    key: str
    why: Why
    chunk: int
    outcome_before: float = 0.0
    """when the outcome was written that its build had when the run was opened; another one is of this run"""
    hold_before: float = 0.0
    """the same of a hold"""
    ending: Ending | None = None
    """None while it is still to be built"""
    cause: str = ""
    finished: float = 0.0
    seconds: float = 0.0
    make_seconds: float = 0.0
    """CPU time of the bare make"""
    build_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What all entries have in common. Times are seconds since the epoch."""

    id: str
    started: float
    finished: float = 0.0
    """0 while it is open"""
    cancelled: str = ""
    """by whom; empty if by nobody"""
    slots: int = 1
    """builds at once"""

    @property
    def is_open(self) -> bool:
        return not self.finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A run, or a part of it, added up."""

    planned: int
    endings: Mapping[Ending, int]
    seconds: float
    """wall time of its builds, one after the other"""
    make_seconds: float
    """CPU time of the bare make of all builds: what no farm could do without"""

    def __getitem__(self, ending: Ending) -> int:
        return self.endings.get(ending, 0)

    @property
    def left(self) -> int:
        return self.planned - sum(self.endings.values())

    def efficiency(self, *, cores: int, wall: float) -> float:
        """Of the CPU time that the machine had, the part that make had: 0 to 1. wall: seconds."""
        return self.make_seconds / (cores * wall) if wall > 0 else 0.0


def new_id(now: float, taken: Collection[str]) -> str:
    """Sorts by time: `2026-11-23-231500`. now: seconds since the epoch."""
    base = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d-%H%M%S")
    if base not in taken:
        return base
    return next(each for n in range(2, len(taken) + 3) if (each := f"{base}-{n}") not in taken)


def check_id(text: str) -> str:
    """The id of a run, unchanged. Raises BadName."""
    if not _ID.fullmatch(text):
        raise BadName(f"not a run's id: {text[:80]!r}", hint="an id reads 2026-11-23-231500")
    return text


def cut(
    planned: Sequence[Planned], *, length: int, outcomes: Mapping[str, Outcome], holds: Mapping[str, Hold]
) -> tuple[RunEntry, ...]:
    """The entries of a new run, in the order of the plan.

    length: of a chunk, in builds; outcomes, holds: by build id.
    """
    return tuple(
        RunEntry(
            build_id=each.entry.build_id,
            key=each.key,
            why=each.why,
            chunk=number // length,
            outcome_before=outcomes[name].finished if name in outcomes else 0.0,
            hold_before=holds[name].noted if name in holds else 0.0,
        )
        for number, each in enumerate(planned)
        for name in [str(each.entry.build_id)]
    )


def totals(entries: Iterable[RunEntry]) -> Totals:
    """Added up. What has not ended counts as planned only."""
    every = list(entries)
    return Totals(
        planned=len(every),
        endings=Counter(each.ending for each in every if each.ending is not None),
        seconds=sum(each.seconds for each in every),
        make_seconds=sum(each.make_seconds for each in every),
    )


def rate(run: Run, entries: Iterable[RunEntry], now: float) -> float:
    """Builds that ended by themselves, a second, so far. now: seconds since the epoch."""
    done = sum(each.ending not in (None, Ending.CANCELLED, Ending.SUPERSEDED) for each in entries)
    wall = (run.finished or now) - run.started
    return done / wall if wall > 0 else 0.0


def eta(run: Run, entries: Sequence[RunEntry], now: float) -> float | None:
    """Seconds until the run will have ended, at the rate so far; None before anything has. now: since the epoch."""
    speed = rate(run, entries, now)
    if not speed or not run.is_open:
        return None
    return sum(each.ending is None for each in entries) / speed


def eta_of(run: Run, found: Totals, now: float) -> float | None:
    """The same of a run that is added up only."""
    left_alone = found[Ending.CANCELLED] + found[Ending.SUPERSEDED]
    done, wall = found.planned - found.left - left_alone, now - run.started
    return found.left * wall / done if run.is_open and done and wall > 0 else None


def settle(
    entry: RunEntry,
    *,
    outcome: Outcome | None,
    hold: Hold | None,
    due: Mapping[str, str] | None,
    keys: Mapping[str, str] | None,
    skipped: str = "",
) -> RunEntry:
    """The entry as it stands now: ended, or unchanged if it is still to be built.

    due: of what the plan says is due, keys: of the whole matrix, both by build id; None if nothing was
    planned just now. skipped: why the plan leaves it out; empty if it does not.
    """
    # told apart by being another, not by being later: clocks are set back
    if outcome and outcome.key == entry.key and outcome.finished != entry.outcome_before:
        return replace(
            entry,
            ending=_ENDINGS[outcome.status],
            cause=outcome.cause,
            finished=outcome.finished,
            seconds=outcome.seconds,
            make_seconds=outcome.make_seconds,
            build_url=outcome.build_url,
        )
    if hold and hold.key == entry.key and hold.noted != entry.hold_before:
        ending = Ending.FAULT if hold.tries else Ending.CANCELLED
        return replace(entry, ending=ending, cause=hold.reason, finished=hold.noted)
    if skipped:
        return replace(entry, ending=Ending.SKIPPED, cause=skipped)
    # what was forced is built although it is not due
    wanted = keys if entry.why is Why.FORCED else due
    if wanted is None or wanted.get(str(entry.build_id)) == entry.key:
        return entry
    is_other = keys is not None and keys.get(str(entry.build_id), entry.key) != entry.key
    cause = "its inputs changed" if is_other else "not due any more"
    return replace(entry, ending=Ending.SUPERSEDED, cause=cause)


_ENDINGS = {
    Status.BUILT: Ending.BUILT,
    Status.FAILED: Ending.FAILED,
    Status.UNAVAILABLE: Ending.UNAVAILABLE,
    Status.SKIPPED: Ending.SKIPPED,
}
