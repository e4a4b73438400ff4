"""What has been: how long modules took, and how coverage was. For charts; nothing is decided from it."""

from dataclasses import dataclass

from .coverage import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A build that was published for the first time, of a kernel that appeared while the farm watched.

    Times are seconds since the epoch.
    """

    build_id: str
    kernel_version: str
    appeared: float
    """when the repository that listed it first was published"""
    built: float

    @property
    def took(self) -> float:
        """Seconds from the kernel's publication to the module's. Never below 0: a mirror's clock may be ahead."""
        return max(0.0, self.built - self.appeared)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTally:
    """How many builds of a module had which status."""

    when: float
    """the hour, in seconds since the epoch"""
    module: str
    tally: Tally
