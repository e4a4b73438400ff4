"""Coverage: the statuses over the matrix, counted. Decides, and does nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from .causes import group_name
from .matrix import Entry
from .model import Outcome, Status

_NONE: Mapping[str, str] = MappingProxyType({})


class Counted(Protocol):
    """A build, as far as it is counted."""

    @property
    def name(self) -> str:
        """Its build id."""

    @property
    def flavour(self) -> str:
        """Of its kernel."""

    @property
    def status(self) -> Status: ...

    @property
    def cause(self) -> str:
        """Why it is not built; empty if it is."""

    @property
    def is_gone(self) -> bool:
        """Whether no repository lists its kernel any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one build of the matrix stands."""

    entry: Entry
    status: Status
    cause: str = ""
    outcome: Outcome | None = None
    """the last one, even if what it was built from is not what there is now"""

    @property
    def name(self) -> str:
        """Its build id."""
        return str(self.entry.build_id)

    @property
    def flavour(self) -> str:
        """Of its kernel."""
        return self.entry.kernel.flavour

    @property
    def is_gone(self) -> bool:
        """Whether no repository lists its kernel any more."""
        return self.entry.kernel.gone > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many builds have which status."""

    counts: Mapping[Status, int]

    def __getitem__(self, status: Status) -> int:
        return self.counts.get(status, 0)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def percent(self) -> float:
        """Built, of what should be built: of all but the skipped. Never rounded up to 100."""
        wanted = self.total - self[Status.SKIPPED]
        return int(1000 * self[Status.BUILT] / wanted) / 10 if wanted else 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The builds of one module for one target, or for one flavour of it."""

    module: str
    target: str
    flavour: str
    """empty where flavours are counted together"""
    tally: Tally
    gone: int
    """how many of them are of kernels that no repository lists any more"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Rows in the order of module, target and flavour, and their sum."""

    rows: tuple[Row, ...]
    tally: Tally

    @property
    def gone(self) -> int:
        return sum(row.gone for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What keeps builds from being built. cause: see `causes.group_name`; builds: build ids."""

    status: Status
    cause: str
    builds: tuple[str, ...]

    @property
    def kernels(self) -> int:
        """How many kernels these builds are for."""
        return len({build.partition("/")[2] for build in self.builds})


def standings(
    entries: Iterable[Entry], outcomes: Mapping[str, Outcome], keys: Mapping[str, str]
) -> tuple[Standing, ...]:
    """How each build stands, in the order of the entries. outcomes, keys: by build id.

    An outcome of other inputs than the present ones counts as pending: it is about to be built anew.
    Where the present inputs are not known (no key), the last outcome is the best that can be said. What is lost is
    unavailable, unless it was built before that.
    """
    return tuple(
        _standing(entry, outcomes.get(str(entry.build_id)), keys.get(str(entry.build_id))) for entry in entries
    )


def tally(standing: Iterable[Counted]) -> Tally:
    """How many have which status."""
    return Tally(counts=dict(Counter(each.status for each in standing)))


def coverage(standing: Sequence[Counted], *, by_flavour: bool = True) -> Coverage:
    """The statuses, counted per module, target and flavour, and altogether."""
    groups: dict[tuple[str, str, str], Counter[Status]] = {}
    gone: Counter[tuple[str, str, str]] = Counter()
    for each in standing:
        module, target, _ = each.name.split("/")
        group = (module, target, each.flavour if by_flavour else "")
        groups.setdefault(group, Counter())[each.status] += 1
        gone[group] += each.is_gone
    return Coverage(
        rows=tuple(
            Row(module=module, target=target, flavour=flavour, tally=Tally(counts=dict(counts)), gone=gone[group])
            for group, counts in sorted(groups.items())
            for module, target, flavour in [group]
        ),
        tally=tally(standing),
    )


def causes(standing: Iterable[Counted], waiting: Mapping[str, str] = _NONE) -> tuple[Cause, ...]:
    """Why what is not built is not built: equal causes together, that of the most builds first.

    waiting: build id -> what a pending build waits for; one that waits for its turn only has no cause.
    """
    groups: dict[tuple[Status, str], list[str]] = {}
    for each in standing:
        name = each.name
        cause = waiting.get(name) if each.status is Status.PENDING else each.cause
        if cause is not None and each.status is not Status.BUILT:
            groups.setdefault((each.status, group_name(cause, name.rpartition("/")[2])), []).append(name)
    found = [Cause(status=status, cause=cause, builds=tuple(builds)) for (status, cause), builds in groups.items()]
    return tuple(sorted(found, key=lambda cause: (-len(cause.builds), cause.status, cause.cause)))


def _standing(entry: Entry, last: Outcome | None, key: str | None) -> Standing:
    if entry.skipped:
        return Standing(entry=entry, status=Status.SKIPPED, cause=entry.skipped, outcome=last)
    is_open = last is None or (key is not None and last.key != key)
    if entry.lost and (is_open or (last and last.status is Status.UNAVAILABLE)):
        return Standing(entry=entry, status=Status.UNAVAILABLE, cause=entry.lost, outcome=last)
    if last is None or is_open:
        return Standing(entry=entry, status=Status.PENDING, outcome=last)
    return Standing(entry=entry, status=last.status, cause=last.cause, outcome=last)
