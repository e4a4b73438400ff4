"""Which waiting builds have waited for so long that something must be wrong: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

TIMES = 10
FLOOR = 600.0
"""seconds; the pauses between tries of a fault are shorter"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A build that waits in the queue while nothing runs."""

    name: str
    """its build id, or the image's name"""
    waited: float
    """seconds"""
    limit: float
    """seconds, from where on a wait is too long"""

    def __str__(self) -> str:
        return f"{self.name} has waited {self.waited:.0f} s while nothing runs ({self.limit:.0f} s is too long)"


def overdue(waiting: Mapping[str, float], usual: Sequence[float], *, running: int) -> tuple[Overdue, ...]:
    """The longest wait first. waiting: seconds by name; usual: seconds that earlier ones waited; running: builds.

    A queue may be as long as it likes while something runs.
    """
    if running:
        return ()
    limit = max(FLOOR, TIMES * median(usual)) if usual else FLOOR
    late = [Overdue(name=name, waited=waited, limit=limit) for name, waited in waiting.items() if waited > limit]
    return tuple(sorted(late, key=lambda each: -each.waited))
