"""A run, seen afterwards: the builds that came one after another, and how well they used the machine."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .model import Outcome, Status

# the store's note of when the farm was started, in seconds since the epoch
START_NOTE = "farm/started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Builds in the order of their ends. Times are seconds since the epoch."""

    builds: tuple[Outcome, ...]
    started: float
    """when the first build started"""
    finished: float

    @property
    def wall(self) -> float:
        """Seconds."""
        return self.finished - self.started

    @property
    def kernels(self) -> int:
        return len({(build.build_id.target, build.build_id.release) for build in self.builds})

    @property
    def counts(self) -> Mapping[Status, int]:
        return Counter(build.status for build in self.builds)

    @property
    def make_seconds(self) -> float:
        """CPU time of the bare make of all builds: what no farm could do without."""
        return sum(build.make_seconds for build in self.builds)

    def efficiency(self, cores: int) -> float:
        """Of the CPU time that the machine had, the part that make had: 0 to 1."""
        return self.make_seconds / (cores * self.wall) if self.wall > 0 else 0.0


def last_run(outcomes: Iterable[Outcome], *, quiet: float, start: float = 0.0) -> Run | None:
    """The newest run; None if nothing was ever built.

    quiet: seconds with no build under way end a run; start: of the farm, which begins one (since the epoch).
    """
    newest_first = sorted(outcomes, key=lambda outcome: outcome.finished, reverse=True)
    if not newest_first:
        return None
    builds: list[Outcome] = []
    started = newest_first[0].finished
    for outcome in newest_first:
        if outcome.finished < started - quiet or outcome.finished < start <= newest_first[0].finished:
            break
        builds.append(outcome)
        started = min(started, outcome.finished - outcome.seconds)
    return Run(builds=tuple(reversed(builds)), started=started, finished=newest_first[0].finished)
