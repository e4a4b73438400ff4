"""What the coverage pages show: every module added up, and of one all kernels. Decides, and does nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .board import RUNNING, Board
from .coveragetable import Cell, Count, Series, counted, table
from .model import Kernel, Status, Target
from .past import Arrival
from .release import version_key

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

    def takes(self, cell: Cell) -> bool:
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
        whole=counted(every),
        shown=counted(shown),
        series=table(shown),
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


def _words(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({word for word in words if word}))
