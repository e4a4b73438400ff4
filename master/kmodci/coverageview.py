"""What the coverage page shows: modules, and of one the kernels as a table. Decides, and does nothing.

Kernel releases differ from flavour to flavour and from series to series, so there is no one row of columns: a series
has a table, of which the columns are its releases without their flavour, and flavours that share none have their own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .board import RUNNING, Board
from .coverage import Tally
from .model import Kernel, Status, Target
from .past import Arrival
from .release import version_key
from .repos.base import MACHINES

# what is the same for each look at the same kernels is kept for so many
_KERNELS = 1 << 16
_order = lru_cache(_KERNELS)(version_key)

ABSENT = "not built"
"""the state of a build of a version that the farm does not build any more"""
STATES = (Status.BUILT, RUNNING, Status.PENDING, Status.FAILED, Status.UNAVAILABLE, Status.SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which builds are shown; what is empty takes all."""

    state: str = ""
    distro: str = ""
    series: str = ""
    arch: str = ""
    flavour: str = ""
    text: str = ""
    """a part of the build id"""

    def takes(self, cell: "Cell") -> bool:
        target = cell.target
        return (
            self.state in ("", cell.state)
            and self.distro in ("", target.distro)
            and self.series in ("", target.series)
            and self.arch in ("", target.arch)
            and self.flavour in ("", cell.flavour)
            and (not self.text or self.text.lower() in f"{target}/{cell.release}".lower())
        )

    @property
    def is_set(self) -> bool:
        return self != Filter()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleView:
    """One version of a module, over all kernels or the chosen ones."""

    module: str
    version: str
    is_current: bool
    """whether it is the version that the farm builds"""
    others: tuple[str, ...]
    """versions that are published besides, the newest first"""
    whole: Count
    """of all"""
    shown: Count
    """of what was chosen"""
    series: tuple[Series, ...]
    choices: Mapping[str, tuple[str, ...]]
    """what there is to choose from: `distro`, `series`, `arch`, `flavour`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleLine:
    """One module, added up."""

    module: str
    version: str
    """empty while its source is not read"""
    count: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A kernel that appeared while the farm watched, and what became of its modules."""

    kernel: Kernel
    appeared: float
    """seconds since the epoch"""
    modules: tuple[tuple[str, str, Arrival | None], ...]
    """each with its state, and how long it took, if it is there"""


def lines(board: Board) -> tuple[ModuleLine, ...]:
    """Every module of the matrix, in its order."""
    found: dict[str, Counter[str]] = {module: Counter() for module in board.modules}
    for name, standing in board.standings.items():
        found[standing.entry.build_id.module][board.state(name)] += 1
    return tuple(
        ModuleLine(
            module=module,
            version=board.versions[module].version if module in board.versions else "",
            count=Count(states=states),
        )
        for module, states in found.items()
    )


def newcomers(board: Board, *, most: int) -> tuple[Newcomer, ...]:
    """The kernels of the matrix that appeared last, the newest first. most: how many."""
    builds: dict[str, list[str]] = {}
    for name in board.standings:
        builds.setdefault(name.partition("/")[2], []).append(name)
    when = {
        name: board.appearances[name, kernel.version]
        for name, kernel in board.kernels.items()
        if name in builds and (name, kernel.version) in board.appearances
    }
    newest = sorted(when, key=lambda name: (-when[name], name))[:most]
    return tuple(
        Newcomer(
            kernel=board.kernels[name],
            appeared=when[name],
            modules=tuple(
                (build.partition("/")[0], board.state(build), board.arrivals.get(build)) for build in builds[name]
            ),
        )
        for name in newest
    )


def versions(board: Board, module: str) -> tuple[str, ...]:
    """The published versions of a module that are not the one it is at, the newest first."""
    current = board.versions[module].version if module in board.versions else ""
    found = {version for (name, version), builds in board.published.items() if name == module and builds}
    return tuple(sorted(found - {current}, key=version_key, reverse=True))


def view(board: Board, module: str, version: str = "", chosen: Filter | None = None) -> ModuleView:
    """A module of the matrix, or one that something of is published. version: empty for the one that is built."""
    chosen = chosen or Filter()
    current = board.versions[module].version if module in board.versions else ""
    is_current = version in ("", current)
    every = list(_current(board, module) if is_current else _published(board, module, version))
    shown = [cell for cell in every if chosen.takes(cell)]
    return ModuleView(
        module=module,
        version=version or current,
        is_current=is_current,
        others=versions(board, module),
        whole=_count(every),
        shown=_count(shown),
        series=tuple(_series(distro, name, cells) for (distro, name), cells in _by_series(shown)),
        choices={
            "distro": _words(each.target.distro for each in every),
            "series": _words(each.target.series for each in every),
            "arch": _words(each.target.arch for each in every),
            "flavour": _words(each.flavour for each in every),
        },
    )


def fingerprints(seen: ModuleView) -> dict[str, int]:
    """What tells whether a row, or all of a series, looks as it did; by `id`. Good within this process."""
    found: dict[str, int] = {}
    for series in seen.series:
        rows = [
            (
                row.id,
                hash((block.columns, tuple(each and (each.state, each.is_gone, each.cause) for each in row.cells))),
            )
            for block in series.blocks
            for row in block.rows
        ]
        found |= {**dict(rows), series.id: hash(tuple(rows))}
    return found


@lru_cache(_KERNELS)
def column(kernel_release: str, flavour: str) -> str:
    """What a release has in common with that of other flavours: `6.1.0-56-cloud-amd64` -> `6.1.0-56`."""
    found = kernel_release
    for word in (flavour, *MACHINES, *MACHINES.values()):
        for separator in "-.+":
            found = found.removesuffix(f"{separator}{word}") if word else found
    return found


def _current(board: Board, module: str) -> Iterator[Cell]:
    for name, standing in board.standings.items():
        if standing.entry.build_id.module == module:
            kernel, state = standing.entry.kernel, board.state(name)
            cause = board.waiting.get(name, "") if state == Status.PENDING else standing.cause
            yield _cell(kernel, state, cause)


def _published(board: Board, module: str, version: str) -> Iterator[Cell]:
    """Of a version that is not built any more: what there is, and which kernels of the matrix it is not there for."""
    published = board.published.get((module, version), {})
    for name, standing in board.standings.items():
        if standing.entry.build_id.module == module and name not in published:
            yield _cell(standing.entry.kernel, ABSENT, "")
    for name, entry in published.items():
        kernel = board.kernels.get(name.partition("/")[2])
        if kernel is not None:
            yield _cell(kernel, Status.BUILT, "")
        else:
            target = Target(distro=entry.distro, series=entry.series, arch=entry.arch)
            yield Cell(target=target, release=entry.release, flavour="", state=Status.BUILT, cause="", is_gone=True)


def _cell(kernel: Kernel, state: str, cause: str) -> Cell:
    return Cell(
        target=kernel.target,
        release=kernel.release,
        flavour=kernel.flavour,
        state=state,
        cause=cause,
        is_gone=kernel.gone > 0,
    )


def _count(cells: Iterable[Cell]) -> Count:
    return Count(states=Counter(cell.state for cell in cells))


def _words(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({word for word in words if word}))


def _by_series(cells: Iterable[Cell]) -> list[tuple[tuple[str, str], list[Cell]]]:
    """By distribution; of one the series with the newest kernel first."""
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
        count=_count(cells),
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
                count=_count(row.values()),
            )
            for (arch, flavour), row in sorted(rows.items(), key=lambda each: (each[0][0], len(each[0][1]), each[0][1]))
        ),
    )
