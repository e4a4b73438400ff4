"""Kernels named by hand that come without header packages: a tarball of their source, and their configuration.

There is no index to read; the configurations are read with each look, because they say for which architecture their
kernel is, which compiler built it, and whether modules can be built for it at all.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from kmodci.errors import Gone, IndexDamaged
from kmodci.kernelconfig import arch_of, parse_config, plain_config
from kmodci.model import PackageKind
from kmodci.release import BadName, check_release, check_version

from .base import Fetches, Listed, Snapshot, Wanted

# of a configuration or a Module.symvers, as it is stored
_LARGEST = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKernel:
    """A kernel that comes as source. A place is a URL, or a file's path; SHA256s are hex, and of what is there."""

    release: str
    """what `uname -r` prints: `6.12.59-flatcar`"""
    version: str = ""
    """the vendor's number for it, the greater the newer; the release's where it has none"""
    tarball: str
    """URL"""
    sha256: str
    config: str
    """a place; plain, compressed, or that in base64"""
    config_sha256: str = ""
    """empty for a file of one's own"""
    symvers: str = ""
    """a place, or empty: the Module.symvers of the kernel's own build"""
    symvers_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesIndex:
    """See `base.Index`. It is in the configuration itself: no mirror is asked."""

    kernels: tuple[SourceKernel, ...]

    def look(self, fetcher: Fetches, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        """See `base.Index`; a kernel whose configuration is not what it should be, or gone, is a problem."""
        digest = self._digest()
        if digest == known_digest:
            return Snapshot(digest=digest, dated=now, listed=None)
        listed: list[Listed] = []
        problems: list[str] = []
        for kernel in self.kernels:
            try:
                listed += tuple(source_packages(kernel, _read(fetcher, kernel.config, kernel.config_sha256)))
            except (IndexDamaged, BadName, Gone) as fault:
                problems.append(f"{kernel.release}: {fault.brief}")
        return Snapshot(digest=digest, dated=now, listed=tuple(listed), problems=tuple(problems))

    def _digest(self) -> str:
        text = repr(self.kernels)
        places = (place for each in self.kernels for place in (each.config, each.symvers) if place)
        states = (_state(place) for place in places if not _is_url(place))
        return hashlib.sha256("\n".join([text, *states]).encode()).hexdigest()


def source_packages(kernel: SourceKernel, config: bytes) -> Iterator[Listed]:
    """What stands for a kernel's header packages, by their kind. config: as stored.

    Raises BadName; IndexDamaged for a configuration that is none, or of an architecture that nothing is built for.
    """
    plain = plain_config(config, kernel.config)
    arch = arch_of(parse_config(plain.decode("utf-8", "replace")))
    if not arch:
        raise IndexDamaged(f"{kernel.config}: the configuration is for neither amd64 nor arm64")
    part = Listed(
        name=f"linux-{check_release(kernel.release)}",
        version=check_version(kernel.version or kernel.release, "version of a kernel"),
        arch=arch,
        url=kernel.tarball,
        sha256=kernel.sha256,
        kind=PackageKind.SOURCE,
    )
    yield part
    yield replace(_with(part, kernel.config, plain), kind=PackageKind.CONFIG)
    if kernel.symvers and _is_url(kernel.symvers):
        yield replace(part, url=kernel.symvers, sha256=kernel.symvers_sha256, kind=PackageKind.SYMVERS)
    elif kernel.symvers:
        content = _file(kernel.symvers)
        _check(kernel.symvers, content, kernel.symvers_sha256)
        yield replace(_with(part, kernel.symvers, content), kind=PackageKind.SYMVERS)


def _with(part: Listed, place: str, content: bytes) -> Listed:
    return replace(part, url=place, size=len(content), sha256=hashlib.sha256(content).hexdigest(), content=content)


def _read(fetcher: Fetches, place: str, sha256: str) -> bytes:
    content = fetcher.get(place, limit=_LARGEST) if _is_url(place) else _file(place)
    _check(place, content, sha256)
    return content


def _file(path: str) -> bytes:
    """Raises IndexDamaged: as long as it is not another, neither is what is said of it."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as fault:
        raise IndexDamaged(f"{path}: {(fault.strerror or str(fault)).lower()}") from fault
    if len(content) > _LARGEST:
        raise IndexDamaged(f"{path}: is longer than the {_LARGEST} bytes expected")
    return content


def _check(place: str, content: bytes, sha256: str) -> None:
    """sha256: what it should be; empty for anything. Raises IndexDamaged."""
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise IndexDamaged(f"{place}: SHA256 {found}, but targets.yml says {sha256}")


def _state(path: str) -> str:
    """What changes with a file."""
    try:
        return hashlib.sha256(_file(path)).hexdigest()
    except IndexDamaged as fault:
        return fault.brief


def _is_url(place: str) -> bool:
    return "://" in place
