"""Which kernel somebody means, and how its modules stand. Decides, and does nothing."""

import difflib
from dataclasses import dataclass

from .board import Board
from .coverage import Standing
from .manifest import IndexEntry
from .model import Kernel
from .search import find_kernel
from .uname import Uname, parse

_NEAREST, _LIKENESS = 5, 0.6
_AMONG = "is listed by any source of this farm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One module for one kernel."""

    module: str
    state: str
    reason: str
    place: int
    """in the queue, from 1; 0 if it is in none"""
    standing: Standing
    entry: IndexEntry | None
    """what is published"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """What was found. Several kernels: the same release in several targets. None: see `nearest`."""

    asked: Uname
    kernels: tuple[Kernel, ...]
    nearest: tuple[Kernel, ...] = ()


def meant(text: str, board: Board) -> Meant:
    """text: what `uname -r` or `uname -a` prints, or `target/release`. Raises BadName for what is neither."""
    text = text.strip()
    if text in board.kernels:
        return Meant(asked=Uname(release=board.kernels[text].release), kernels=(board.kernels[text],))
    asked = parse(text.rpartition("/")[2] if text.count("/") == 1 and " " not in text else text)
    same = [kernel for kernel in board.kernels.values() if kernel.release == asked.release]
    of_arch = [kernel for kernel in same if asked.arch in ("", kernel.target.arch)] or same
    uploaded = [kernel for kernel in of_arch if _is_upload(kernel, asked.upload)]
    found = uploaded or of_arch
    if found:
        return Meant(asked=asked, kernels=tuple(sorted(found, key=lambda each: (each.gone > 0, each.target))))
    return Meant(asked=asked, kernels=(), nearest=_nearest(asked.release, board))


def find(target: str, release: str, board: Board) -> Kernel:
    """Raises NotFound with the nearest."""
    return find_kernel(f"{target}/{release}", board.kernels, among=_AMONG)


def modules_of(kernel: Kernel, board: Board) -> tuple[Line, ...]:
    """Every module that the matrix has for it."""
    found = []
    for module in board.modules:
        name = f"{module}/{kernel}"
        standing = board.standings.get(name)
        if standing is not None:
            found.append(
                Line(
                    module=module,
                    state=board.state(name),
                    reason=standing.cause or board.waiting.get(name, ""),
                    place=board.queue.get(name, 0),
                    standing=standing,
                    entry=board.entry(name),
                )
            )
    return tuple(found)


def followed(board: Board) -> dict[str, int]:
    """How many kernels of each target are known."""
    found: dict[str, int] = {}
    for kernel in board.kernels.values():
        found[str(kernel.target)] = found.get(str(kernel.target), 0) + 1
    return dict(sorted(found.items()))


def _nearest(release: str, board: Board) -> tuple[Kernel, ...]:
    """The newest of those that read most alike."""
    of_release: dict[str, list[Kernel]] = {}
    for kernel in board.kernels.values():
        of_release.setdefault(kernel.release, []).append(kernel)
    near = difflib.get_close_matches(release, of_release, _NEAREST, _LIKENESS)
    return tuple(kernel for name in near for kernel in sorted(of_release[name], key=lambda each: each.target))


def _is_upload(kernel: Kernel, upload: str) -> bool:
    """Whether `uname -v` of it begins so. Ubuntu's `6.8.0-49.49~22.04.1` says `#49~22.04.1-Ubuntu`."""
    return bool(upload) and kernel.version.partition("-")[2].partition(".")[2] == upload.removesuffix("-Ubuntu")
