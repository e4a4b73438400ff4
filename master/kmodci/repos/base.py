"""What a repository is asked, and what it answers, whatever its format. One file per format; `discovery` asks."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from kmodci.model import Package, PackageKind

MACHINES: Mapping[str, str] = MappingProxyType({"amd64": "x86_64", "arm64": "aarch64"})
"""what the kernel (`uname -m`), and most distributions, call the architectures"""
_ARCHES = {machine: arch for arch, machine in MACHINES.items()} | {"noarch": "all", "any": "all"}


def arch_of(text: str) -> str:
    """What `Listed.arch` has for what an index says: x86_64 -> amd64, noarch -> all; others as they are."""
    return _ARCHES.get(text, text)


class Signed(StrEnum):
    """What of a repository its vendor signs, and so what is believed of it."""

    INDEX = "index"
    """the index, which has the SHA256 of every package"""
    PACKAGES = "packages"
    """each package"""
    NO = "no"
    """nothing"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What has to vouch for a repository's packages."""

    signed: Signed = Signed.INDEX
    keyrings: tuple[Path, ...] = ()
    """whose signatures count for packages"""


class Reads(Protocol):
    """What most formats need of `fetch.Fetcher`."""

    def get(self, url: str, *, limit: int) -> bytes: ...
    def stream(self, url: str, *, limit: int) -> AbstractContextManager[Iterator[bytes]]: ...


class Fetches(Reads, Protocol):
    """What is needed of `fetch.Fetcher`."""

    def get_unless(self, url: str, *, sha256: str, limit: int) -> bytes | None: ...
    def post(self, url: str, body: bytes, *, kind: str, limit: int) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """`linux-kbuild-6.1 (>= 6.1.187-1)`; relation and version are empty where any version will do."""

    name: str
    relation: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.relation} {self.version})" if self.relation else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A package as an index lists it, checked by type."""

    name: str
    version: str
    """as the distribution writes it, with epoch and revision"""
    arch: str
    """amd64, arm64, or `all` for a package of no architecture, whatever the index calls it; others as they are"""
    url: str
    size: int = 0
    """bytes; 0 where the index does not say"""
    sha256: str = ""
    """hex; empty where the index does not say, and then the package's own signature has to vouch for it"""
    depends: tuple[tuple[Dependency, ...], ...] = ()
    """all of these; of each, one alternative; empty as well where it is not known"""
    provides: tuple[Dependency, ...] = ()
    """what else it is, as far as that has a version (`kernel-devel-uname-r (= 5.14.0-503.el9.x86_64)`)"""
    source: str = ""
    source_version: str = ""
    kind: PackageKind = PackageKind.PACKAGE
    content: bytes | None = None
    """of what was read with the index, and is not to be downloaded again: a kernel's configuration"""

    def package(self) -> Package:
        """What is kept of it with a kernel."""
        return Package(
            name=self.name,
            version=self.version,
            arch=self.arch,
            url=self.url,
            size=self.size,
            sha256=self.sha256,
            kind=self.kind,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked for in an index."""

    prefixes: tuple[str, ...] = ()
    """of package names; an index is searched for these, because it may list 70,000 packages. One may go on behind a
    `*` with what else the name holds (`linux-*headers-`)"""
    names: frozenset[str] = frozenset()
    """further packages, by their whole name"""
    arches: tuple[str, ...]
    """amd64, arm64: those whose packages are needed"""

    def has(self, name: str) -> bool:
        """Whether a package of this name is looked for."""
        parts = (prefix.partition("*") for prefix in self.prefixes)
        return name in self.names or any(
            name.startswith(begin) and rest in name[len(begin) :] for begin, _, rest in parts
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What was looked for, and what could not be taken, each with the reason."""

    listed: tuple[Listed, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Packages that belong together, as whoever listed them says: a repository by itself, of a kernel or a few."""

    title: str
    """for messages: printable, whatever the list says"""
    packages: tuple[Listed, ...]
    arches: tuple[str, ...]
    """of its kernels; packages of others have programs that these need"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a repository lists now. `listed` is None if that is what it listed when it had this digest before."""

    digest: str
    """names what the repository lists, as far as it was asked for"""
    dated: datetime
    """when the repository was published, as it says itself"""
    listed: tuple[Listed, ...] | None
    groups: tuple[Group, ...] = ()
    """beside `listed`: what is resolved among its own, because others of the same names are listed too"""
    problems: tuple[str, ...] = ()
    """what could not be taken, each with the reason, while the rest was right"""
    base: str = field(default="", compare=False)
    """the mirror that it was read from, where packages are named by the list that led there (`mirrored`)"""


class Index(Protocol):
    """A repository of some format, without the mirror that it is read from."""

    def look(self, fetcher: Fetches, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        """Reads it from a mirror (a base URL); only the small file that names its content if that has not changed.

        Raises FetchError and Gone; IndexDamaged for a wrong signature or hash, and for what is not such an index.
        """


@runtime_checkable
class Selects(Protocol):
    """An index that is told itself which kernels to take, beside what all are asked (`Wanted`)."""

    @property
    def selection(self) -> tuple[str, ...]:
        """What is taken. Of another selection, what an index lists is not what it listed before."""
