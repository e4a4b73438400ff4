"""Real header packages of Debian, downloaded once from the machine's own mirror and kept for later runs."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cmp_to_key
from pathlib import Path

from kmodci.discovery import Repository, look
from kmodci.distros import DISTROS
from kmodci.errors import Gone
from kmodci.fetch import Fetcher
from kmodci.model import Kernel, Package
from kmodci.paths import checkout
from kmodci.repos.base import Wanted
from kmodci.schema import Scope
from kmodci.settings import load
from kmodci.where import repositories

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kmodci-tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealKernel:
    """A kernel of Debian with its header packages, for an `AptRepo`."""

    release: str
    version: str
    toolchain: str
    debs: tuple[Path, ...]
    native: tuple[Path, ...] = ()
    """what takes the place of some where it is built on its own architecture, if that is another than the usual one"""


def newest(series: str, *flavours: str, arch: str = "amd64") -> dict[str, RealKernel]:
    """The newest kernel of each flavour that a stable series has, by flavour."""
    fetcher = Fetcher()
    listed = look(_repository(series, arch), fetcher, now=datetime.now(UTC)).kernels
    compare = cmp_to_key(DISTROS["debian"].compare)
    ordered = sorted(listed, key=lambda kernel: compare(kernel.version), reverse=True)
    return {flavour: next(_had(ordered, flavour, fetcher)) for flavour in flavours}


def package_file(series: str, name: str, arch: str, version: str) -> Path:
    """Another package of a series, as it was listed with a kernel."""
    fetcher = Fetcher()
    [found] = {each for each in _listed(series, name, arch, fetcher) if each.version == version}
    return _kept(found, fetcher)


def newest_package(series: str, name: str, arch: str) -> Path:
    """Another package of a series."""
    fetcher, compare = Fetcher(), cmp_to_key(DISTROS["debian"].compare)
    return _kept(max(_listed(series, name, arch, fetcher), key=lambda each: compare(each.version)), fetcher)


def mirror(series: str) -> str:
    """The URL of the one that has a series."""
    return _repository(series, "amd64").mirrors[0]


def _listed(series: str, name: str, arch: str, fetcher: Fetcher) -> list[Package]:
    repository = _repository(series, arch)
    wanted = Wanted(names=frozenset({name}), arches=("arm64" if arch == "all" else arch,))
    listed = repository.index.look(fetcher, repository.mirrors[0], wanted, "", datetime.now(UTC)).listed or ()
    return [each.package() for each in listed if each.arch == arch]


def _repository(series: str, arch: str) -> Repository:
    arch = "amd64" if arch == "all" else arch
    scope = Scope(kernels=(f"debian-{series}-{arch}/*",))
    return repositories(load(checkout() / "config"), scope)[f"{series} main"]


def _had(kernels: Sequence[Kernel], flavour: str, fetcher: Fetcher) -> Iterator[RealKernel]:
    """Of those of a flavour, the ones whose packages the mirror still has: an index may list more."""
    for kernel in kernels:
        if kernel.flavour == flavour:
            with suppress(Gone):
                yield RealKernel(
                    release=kernel.release,
                    version=kernel.version,
                    toolchain=kernel.toolchain,
                    debs=tuple(_kept(package, fetcher) for package in kernel.headers),
                    native=tuple(_kept(package, fetcher) for package in kernel.native),
                )


def _kept(package: Package, fetcher: Fetcher) -> Path:
    cache = CACHE / package.sha256
    path = cache / package.url.rpartition("/")[2]
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fetcher.download(package.url, path, size=package.size, sha256=package.sha256)
    return path
