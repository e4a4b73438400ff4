"""How a run goes: a live bar in a terminal, plain lines elsewhere."""

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from ..coverage import Standing
from ..farm import Farm
from ..model import Status
from ..recovery import caught_up
from .bar import Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where a run stands."""

    builds: tuple[Standing, ...]
    waiting: Mapping[str, str]
    """build id -> what it waits for, of those that wait for more than their turn"""
    stuck: frozenset[str]
    """those of the waiting that nobody should wait for"""
    unread: tuple[str, ...]
    """sources that were not looked at since the start"""
    is_open: bool
    """whether a run is open in the ledger"""
    faults: Mapping[str, str]
    """source -> why it could not be read"""
    is_caught_up: bool = True
    """whether the master has looked since its start at what of all this the bucket has"""

    @property
    def counts(self) -> Counter[Status]:
        return Counter(build.status for build in self.builds)

    @property
    def left(self) -> int:
        return self.counts[Status.PENDING]

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself: all is looked at, and all that is left is stuck."""
        pending = [str(build.entry.build_id) for build in self.builds if build.status is Status.PENDING]
        if not pending and self.is_open and not self.stuck:
            # the last build has ended, and the ledger is about to note it; or what was unavailable is tried again
            return False
        return self.is_caught_up and not self.unread and all(name in self.stuck for name in pending)

    @property
    def is_good(self) -> bool:
        """Whether nothing failed: no build, and no source. What is unavailable is nobody's failure here."""
        return not self.faults and not self.counts[Status.FAILED] and not self.left


def run_of(farm: Farm, *, since: float) -> Run:
    """As the store tells. since: seconds since the epoch, when the farm was started."""
    # before the plan: what is read after the plan was made is not in it
    unread, is_caught_up = farm.planner.unread(since=since), caught_up(farm.store) >= since
    plan = farm.planner.plan()
    states = farm.store.repository_states()
    return Run(
        builds=plan.builds,
        waiting=plan.waiting,
        stuck=plan.stuck,
        is_open=bool(farm.runs.runs(is_open=True)),
        is_caught_up=is_caught_up,
        unread=unread,
        faults={name: state.error for name, state in states.items() if state.error and state.last_try >= since},
    )


def eta(now: Run, *, slots: int) -> float | None:
    """Seconds until all is built, from how long builds took so far. None before the first."""
    took = [build.outcome.seconds for build in now.builds if build.status is Status.BUILT and build.outcome]
    return now.left * statistics.median(took) / slots if took else None


def line(now: Run, *, slots: int) -> str:
    """One plain line."""
    counts = now.counts
    words = [f"{counts[status]} {status}" for status in Status if status is not Status.PENDING and counts[status]]
    seconds = eta(now, slots=slots)
    words.append(f"{now.left} left" + (f", about {seconds:.0f} s" if now.left and seconds else ""))
    if now.unread:
        words.append(f"looking at {len(now.unread)} sources")
    return ", ".join(words)


class Display(Bar):
    """Shows a run as it goes. A context manager."""

    def __init__(self, console: Console, *, slots: int) -> None:
        super().__init__(console)
        self._slots = slots

    def __enter__(self) -> "Display":
        super().__enter__()
        return self

    def show(self, now: Run) -> None:
        """Called as often as liked."""
        done = len(now.builds) - now.left
        self.update(line(now, slots=self._slots), completed=done, total=len(now.builds) or None)

    def say(self, text: str) -> None:
        """In place of how the run goes, while that cannot be known."""
        self.update(text)
