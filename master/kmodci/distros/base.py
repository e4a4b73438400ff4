"""What a distribution has to answer. One small file each; `distros.DISTROS` lists them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kmodci.errors import KmodciError
from kmodci.model import Kernel
from kmodci.repos.base import Listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where packages were found."""

    distro: str
    series: str
    repository: str
    arches: tuple[str, ...]
    """whose kernels are asked for"""
    compiler: str = ""
    """of the series, where a package does not say (`gcc-12`)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Kernels, and what looked like one but cannot be built, each with the reason."""

    kernels: tuple[Kernel, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Where the files of one header package lie."""

    folder: str
    """below /usr/src of a build's container, where they go (`linux-headers-6.1.0-50-common`)"""
    roots: tuple[str, ...]
    """in the package: the folder that goes there (`usr/src/linux-headers-6.1.0-50-common`), the real one first"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a kernel's header packages lie together below /usr/src, where they name each other."""

    trees: tuple[Tree, ...]
    """one per header package, in their order"""
    own: str
    """the kernel's own folder below /usr/src: what /lib/modules/<release>/build is; has .config and Module.symvers"""
    source: str = ""
    """what /lib/modules/<release>/source is, where that is another"""


class Distro(Protocol):
    """How a distribution packages its kernels."""

    by_series: bool
    """whether two of its series have different kernels of one release, as Ubuntu's have: what a node runs is then
    told by its series as well"""

    @property
    def index_prefixes(self) -> tuple[str, ...]:
        """What the names of all packages begin with that `kernels` has to see."""

    def index_arches(self, arches: Sequence[str]) -> tuple[str, ...]:
        """The architectures whose indices have to be read to build for `arches`."""

    def kernels(self, listed: Iterable[Listed], place: Place) -> Found:
        """The kernels that these packages are, resolved among these packages alone."""

    def layout(self, kernel: Kernel) -> Layout:
        """Where this kernel's header packages have their files."""

    def compare(self, version: str, other: str) -> int:
        """Below, equal to or above zero, as the first package version is older, the same or newer."""


def found(packages: Iterable[Listed], kernel: Callable[[Listed], Kernel]) -> Found:
    """The kernels that these packages are, one each. What cannot be used is a problem, and takes nothing else down.

    kernel: makes one of a package; raises KmodciError.
    """
    kernels: list[Kernel] = []
    problems: list[str] = []
    for package in packages:
        try:
            kernels.append(kernel(package))
        except KmodciError as fault:
            problems.append(f"{package.name} {package.version}: {fault.brief}")
    return Found(kernels=tuple(kernels), problems=tuple(problems))


def without_compiler() -> Found:
    """Where packages do not say with which compiler they were built, and nothing is configured."""
    return Found(kernels=(), problems=("no package names its compiler: say `compiler: gcc-N` in targets.yml",))
