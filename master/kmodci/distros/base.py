"""What a distribution has to answer. One small file each; `distros.DISTROS` lists them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kmodci.model import Kernel
from kmodci.repos.apt import Stanza

BUILD_ARCH = "amd64"
"""Where builds run: the programs that belong to a kernel's headers are taken for this architecture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where stanzas were found."""

    distro: str
    series: str
    repository: str
    mirror: str
    """base URL that file names are relative to"""
    arches: tuple[str, ...]
    """whose kernels are asked for"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Kernels, and what looked like one but cannot be built, each with the reason."""

    kernels: tuple[Kernel, ...]
    problems: tuple[str, ...] = ()


class Distro(Protocol):
    """How a distribution packages its kernels."""

    @property
    def index_prefixes(self) -> tuple[str, ...]:
        """What the names of all packages begin with that `kernels` has to see."""

    def index_arches(self, arches: Sequence[str]) -> tuple[str, ...]:
        """The architectures whose indices have to be read to build for `arches`."""

    def kernels(self, stanzas: Iterable[Stanza], place: Place) -> Found:
        """The kernels that these packages are, resolved among these packages alone."""

    def compare(self, version: str, other: str) -> int:
        """Below, equal to or above zero, as the first package version is older, the same or newer."""
