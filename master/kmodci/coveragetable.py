"""Builds as a table: a row for each flavour, a column for each kernel release. Decides, and does nothing.

Kernel releases differ from flavour to flavour and from series to series, so there is no one row of columns: a series
has a table, of which the columns are its releases without their flavour, and flavours that share none have their own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .coverage import Tally
from .model import Status, Target
from .release import version_key
from .repos.base import MACHINES

# what is the same for each look at the same kernels is kept for so many
_KERNELS = 1 << 16
_order = lru_cache(_KERNELS)(version_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One build."""

    target: Target
    release: str
    flavour: str
    state: str
    cause: str
    is_gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many builds have which state."""

    states: Mapping[str, int]

    def __getitem__(self, state: str) -> int:
        return self.states.get(state, 0)

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def wanted(self) -> int:
        """All but the skipped."""
        return self.total - self[Status.SKIPPED]

    @property
    def percent(self) -> float | None:
        """Built, of the wanted; None where none is. Never rounded up to 100."""
        return (
            Tally(counts={Status.BUILT: self[Status.BUILT], Status.FAILED: self.wanted - self[Status.BUILT]}).percent
            if self.wanted
            else None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A flavour of a series on one architecture."""

    id: str
    """names it on the page"""
    arch: str
    flavour: str
    cells: tuple[Cell | None, ...]
    """one for each column; None where it has no such release"""
    count: Count

    @property
    def name(self) -> str:
        """The flavour, with the architecture where that does not say so itself."""
        words = self.flavour.split("-")
        return (
            self.flavour if {self.arch, MACHINES.get(self.arch)} & {*words} else f"{self.flavour} {self.arch}".strip()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows that share their columns. columns: releases without their flavour, the newest first."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series of a distribution."""

    distro: str
    name: str
    blocks: tuple[Block, ...]
    count: Count

    @property
    def id(self) -> str:
        """Names it on the page."""
        return f"{self.distro}-{self.name}"


def counted(cells: Iterable[Cell]) -> Count:
    """Added up."""
    return Count(states=Counter(cell.state for cell in cells))


def table(cells: Iterable[Cell]) -> tuple[Series, ...]:
    """By distribution; of one the series with the newest kernel first."""
    return tuple(_series(distro, name, found) for (distro, name), found in _by_series(cells))


@lru_cache(_KERNELS)
def column(kernel_release: str, flavour: str) -> str:
    """What a release has in common with that of other flavours: `6.1.0-56-cloud-amd64` -> `6.1.0-56`."""
    found = kernel_release
    for word in (flavour, *MACHINES, *MACHINES.values()):
        for separator in "-.+":
            found = found.removesuffix(f"{separator}{word}") if word else found
    return found


def _by_series(cells: Iterable[Cell]) -> list[tuple[tuple[str, str], list[Cell]]]:
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.target.distro, cell.target.series), []).append(cell)
    newest = {name: max(_order(cell.release) for cell in group) for name, group in found.items()}
    by_age = sorted(found.items(), key=lambda each: newest[each[0]], reverse=True)
    return sorted(by_age, key=lambda each: each[0][0])


def _series(distro: str, name: str, cells: Sequence[Cell]) -> Series:
    rows: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        found = rows.setdefault((cell.target.arch, cell.flavour), {})
        label = column(cell.release, cell.flavour)
        # two releases that differ in nothing but what was taken off
        found[label if label not in found else cell.release] = cell
    groups: list[dict[tuple[str, str], dict[str, Cell]]] = []
    # the row with most releases gives a block its columns
    for key, row in sorted(rows.items(), key=lambda each: (-len(each[1]), each[0])):
        block = next((group for group in groups if _fits(row, group)), None)
        if block is None:
            groups.append({key: row})
        else:
            block[key] = row
    return Series(
        distro=distro,
        name=name,
        blocks=tuple(_block(f"{distro}-{name}", group) for group in groups),
        count=counted(cells),
    )


def _fits(row: Mapping[str, Cell], block: Mapping[tuple[str, str], Mapping[str, Cell]]) -> bool:
    """Whether at least half of its releases are columns already."""
    columns = {label for each in block.values() for label in each}
    return 2 * len(columns & row.keys()) >= len(row)


def _block(series: str, rows: Mapping[tuple[str, str], Mapping[str, Cell]]) -> Block:
    columns = sorted({label for row in rows.values() for label in row}, key=_order, reverse=True)
    return Block(
        columns=tuple(columns),
        rows=tuple(
            Row(
                id=f"{series}-{arch}-{flavour}",
                arch=arch,
                flavour=flavour,
                cells=tuple(row.get(label) for label in columns),
                count=counted(row.values()),
            )
            for (arch, flavour), row in sorted(rows.items(), key=lambda each: (each[0][0], len(each[0][1]), each[0][1]))
        ),
    )
