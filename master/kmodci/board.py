"""The board: all that is known of the matrix at one moment, held in memory. Pages and the API answer from it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median

from .coverage import Standing, Tally, standings, tally
from .distros import index_place
from .manifest import IndexEntry
from .model import Kernel, ModuleVersion, Outcome, Status, Target
from .past import Arrival

RUNNING = "running"
"""what a build is, in the words that users see, while it is neither `pending` nor has ended"""


_OF_KERNELS = ("places", "releases", "targets")
"""what is found out of the kernels alone"""


@dataclass(frozen=True, kw_only=True)
class Board:
    """Never changes; the next one takes its place. What is by build id is in the order of the matrix."""

    made: float = 0.0
    """seconds since the epoch"""
    is_whole: bool = False
    """False until all sources have been read once and a plan was made"""
    kernels: Mapping[str, Kernel] = field(default_factory=dict)
    """every kernel that is known, in the matrix or not, by `target/release`"""
    standings: Mapping[str, Standing] = field(default_factory=dict)
    """how each build of the matrix stands, by build id"""
    keys: Mapping[str, str] = field(default_factory=dict)
    """what names the inputs of each, by build id"""
    versions: Mapping[str, ModuleVersion] = field(default_factory=dict)
    """the version that each module's source is at, by module"""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """what each waits for that waits for more than its turn, by build id"""
    running: Mapping[str, str] = field(default_factory=dict)
    """the address of the build of each that runs, by build id"""
    queue: Mapping[str, int] = field(default_factory=dict)
    """the place in the queue of each that is to be built, from 1; by build id"""
    published: Mapping[tuple[str, str], Mapping[str, IndexEntry]] = field(default_factory=dict)
    """what the bucket has, by module and version, and then by build id"""

    appearances: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """when each kernel appeared, of those that did while the farm watched: by `target/release` and package version"""
    arrivals: Mapping[str, Arrival] = field(default_factory=dict)
    """how long the module of each took, by build id; of the kernel's packages as they are now"""

    def state(self, build_id: str) -> str:
        """Of a build of the matrix: its status, or `running`."""
        return RUNNING if build_id in self.running else self.standings[build_id].status

    def entry(self, build_id: str, version: str = "") -> IndexEntry | None:
        """What is published for a build: of a version, or else of that which its status is about."""
        module = build_id.partition("/")[0]
        if not version:
            standing = self.standings.get(build_id)
            if standing is None or standing.status is not Status.BUILT or standing.outcome is None:
                return None
            version = standing.outcome.module_version
        return self.published.get((module, version), {}).get(build_id)

    @cached_property
    def tally(self) -> Tally:
        """How many builds have which status."""
        return tally(self.standings.values())

    @cached_property
    def tallies(self) -> Mapping[str, Tally]:
        """The same of each module."""
        groups: defaultdict[str, list[Standing]] = defaultdict(list)
        for each in self.standings.values():
            groups[each.entry.build_id.module].append(each)
        return {module: tally(group) for module, group in groups.items()}

    @cached_property
    def usual_seconds(self) -> Mapping[str, float]:
        """What a build of each module that was built takes, as a rule (the median), from its start to its end."""
        took: defaultdict[str, list[float]] = defaultdict(list)
        for each in self.standings.values():
            if each.status is Status.BUILT and each.outcome and each.outcome.seconds:
                took[each.entry.build_id.module].append(each.outcome.seconds)
        return {module: median(found) for module, found in took.items()}

    def seconds_left(self, build_id: str, place: int, *, slots: int, running_for: float = 0.0) -> float | None:
        """Until a build that runs or waits is done, by what builds of its module take; None where that is not known.

        place: in the queue, from 1, each of which is taken for one of this module; slots: builds at once; running_for:
        how long it has, in seconds.
        """
        usual = self.usual_seconds.get(build_id.partition("/")[0])
        if usual is None or not (place or build_id in self.running):
            return None
        before = max(0, place - 1) / max(1, slots)
        return max(1.0, usual * (1 + before) - running_for)

    @cached_property
    def places(self) -> Mapping[tuple[str, str], Kernel]:
        """Every kernel by what a node knows of its own: `distros.index_place` and the kernel release."""
        return {(index_place(kernel.target), kernel.release): kernel for kernel in self.kernels.values()}

    @cached_property
    def releases(self) -> Mapping[str, tuple[str, ...]]:
        """The kernel releases of each such place."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for place, release in self.places:
            found[place].append(release)
        return {place: tuple(names) for place, names in found.items()}

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Those that there are kernels of."""
        return tuple(sorted({kernel.target for kernel in self.kernels.values()}))

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """The modules of the matrix, in their order there."""
        return tuple(dict.fromkeys(each.entry.build_id.module for each in self.standings.values()))

    def after(self, before: "Board") -> "Board":
        """The same, which need not find out again what is known of the same kernels: there may be ten thousand."""
        if before.kernels is self.kernels:
            known = {name: before.__dict__[name] for name in _OF_KERNELS if name in before.__dict__}
            # where `cached_property` looks for it
            self.__dict__.update(known)
        return self

    def with_outcomes(self, outcomes: Iterable[Outcome]) -> "Board":
        """The same after some builds have ended."""
        known = {str(each.build_id): each for each in outcomes}
        entries = [self.standings[name].entry for name in known if name in self.standings]
        after = {str(each.entry.build_id): each for each in standings(entries, known, self.keys)}
        return replace(self, standings={**self.standings, **after})
