"""Which kernels there are: looks at one repository, merges what several list, tells what is new.

The signed release file is the change detector: as long as the hashes in it that matter are the same,
nothing else is downloaded.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from .digests import checked
from .distros import BUILD_ARCH, DISTROS, Distro, Place
from .errors import Gone, IndexDamaged
from .model import Kernel, Package
from .repos.apt import IndexFile, Release, Scan, Stanza, parse_release, scan_packages
from .repos.compressed import SUFFIXES, decompressed
from .repos.signature import verified_release

_RELEASE_LIMIT = 16 * 1024 * 1024
_INDEX_LIMIT = 1024 * 1024 * 1024

# Part of the digest: raise it when the same index means other kernels than before, so that it is read again.
_READING = "1"


class Fetches(Protocol):
    """What is needed of `fetch.Fetcher`."""

    def get(self, url: str, *, limit: int) -> bytes: ...
    def stream(self, url: str, *, limit: int) -> AbstractContextManager[Iterator[bytes]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One package index of a series, on a mirror."""

    name: str
    """`bookworm-security main`"""
    distro: str
    series: str
    suite: str
    component: str
    arches: tuple[str, ...]
    mirror: str
    """base URL"""
    keyrings: tuple[Path, ...]
    check_valid_until: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a repository lists; if it has not changed, nothing of that but the date."""

    repository: str
    release_digest: str
    """names what the repository lists, as far as it was asked for; to be handed in with the next look"""
    changed: bool
    kernels: tuple[Kernel, ...] = ()
    packages: tuple[Package, ...] = ()
    """the newest of each package that was asked for by name"""
    problems: tuple[str, ...] = ()
    dated: datetime
    """when the repository was published, as it says itself"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What happened between two lists of kernels."""

    new: tuple[Kernel, ...]
    changed: tuple[Kernel, ...]
    """the same release with another package version, other headers or another compiler"""
    gone: tuple[Kernel, ...]


def look(
    repository: Repository,
    fetcher: Fetches,
    *,
    known_digest: str = "",
    packages: frozenset[str] = frozenset(),
    now: datetime,
) -> Look:
    """Reads a repository; only its release file if that says what `known_digest` says.

    packages: names of further packages to look for. now: with a time zone.
    Raises FetchError, Gone; IndexDamaged for a wrong signature, hash, suite or an expired index.
    """
    try:
        return _look(repository, fetcher, known_digest, packages, now)
    except IndexDamaged as fault:
        raise IndexDamaged(f"{repository.name}: {fault.brief}", hint=fault.hint) from fault


def merge(repositories: Iterable[Iterable[Kernel]]) -> tuple[Kernel, ...]:
    """One kernel per distribution, architecture and release, out of several repositories' kernels.

    The newest package version wins; of equal ones that of the repository that comes first.
    """
    best: dict[tuple[str, str, str], Kernel] = {}
    for kernels in repositories:
        for kernel in kernels:
            key = (kernel.target.distro, kernel.target.arch, kernel.release)
            known = best.get(key)
            if not known or DISTROS[kernel.target.distro].compare(kernel.version, known.version) > 0:
                best[key] = kernel
    return tuple(best.values())


def diff(known: Mapping[str, Kernel], found: Iterable[Kernel]) -> Diff:
    """known: by `str(kernel)`. A kernel that only moved to another repository has not changed."""
    now = {str(kernel): kernel for kernel in found}
    return Diff(
        new=tuple(kernel for name, kernel in now.items() if name not in known),
        changed=tuple(
            kernel for name, kernel in now.items() if name in known and _inputs(kernel) != _inputs(known[name])
        ),
        gone=tuple(kernel for name, kernel in known.items() if name not in now),
    )


def _inputs(kernel: Kernel) -> tuple[str, str, str]:
    return kernel.version, kernel.toolchain, kernel.headers_digest


def _look(repository: Repository, fetcher: Fetches, known_digest: str, packages: frozenset[str], now: datetime) -> Look:
    distro = DISTROS[repository.distro]
    signed = fetcher.get(f"{_folder(repository)}/InRelease", limit=_RELEASE_LIMIT)
    release = parse_release(verified_release(signed, repository.keyrings))
    _check(repository, release, now)
    bases = [f"{repository.component}/binary-{arch}/Packages" for arch in distro.index_arches(repository.arches)]
    digest = _digest(repository, release, bases, packages)
    if digest == known_digest:
        return Look(repository=repository.name, release_digest=digest, changed=False, dated=release.date)
    scans = [_scan(repository, fetcher, release, base, distro, packages) for base in bases]
    stanzas = [stanza for scan in scans for stanza in scan.stanzas]
    found = distro.kernels(stanzas, _place(repository))
    return Look(
        repository=repository.name,
        release_digest=digest,
        changed=True,
        kernels=found.kernels,
        packages=tuple(_newest(stanzas, distro, packages, repository.mirror)),
        problems=tuple(dict.fromkeys(problem for scan in scans for problem in scan.problems)) + found.problems,
        dated=release.date,
    )


def _check(repository: Repository, release: Release, now: datetime) -> None:
    """A genuine release file of another suite, or of long ago, must not pass for this one."""
    if repository.suite not in (release.suite, release.codename):
        raise IndexDamaged(
            f"the mirror answers with the suite {release.codename or release.suite!r}, not {repository.suite!r}",
            hint="correct `suite:` in targets.yml, or name another mirror",
        )
    if repository.check_valid_until and release.valid_until and now > release.valid_until:
        raise IndexDamaged(
            f"the index expired on {release.valid_until:%Y-%m-%d %H:%M} UTC (Valid-Until)",
            hint="the mirror lags: name another, or set `check_valid_until: false` with a `reason:` in targets.yml",
        )


def _digest(repository: Repository, release: Release, bases: Iterable[str], packages: frozenset[str]) -> str:
    """A release file is dated anew several times a day; what is not about the indices in use is left out."""
    indices = [f"{file.sha256} {path}" for base in bases for path, file in _offers(release, base)]
    asked = [_READING, repository.distro, repository.series, repository.mirror, *repository.arches, *sorted(packages)]
    return hashlib.sha256("\n".join([*asked, *indices]).encode()).hexdigest()


def _offers(release: Release, base: str) -> list[tuple[str, IndexFile]]:
    """How an index is offered, the cheapest to read first."""
    offers = [(base + suffix, release.files[base + suffix]) for suffix in SUFFIXES if base + suffix in release.files]
    if not offers:
        raise IndexDamaged(
            f"the release file does not list {base}", hint="correct `component:` or `arches:` in targets.yml"
        )
    return offers


def _scan(
    repository: Repository, fetcher: Fetches, release: Release, base: str, distro: Distro, packages: frozenset[str]
) -> Scan:
    """The index as the mirror has it: not all that a release file lists is there, the uncompressed one rarely."""
    whole = release.files.get(base)
    gone: Gone | None = None
    for path, file in _offers(release, base):
        for url in _urls(repository, release, path, file):
            try:
                with fetcher.stream(url, limit=_INDEX_LIMIT) as chunks:
                    sound = checked(chunks, url=url, size=file.size, sha256=file.sha256)
                    text = decompressed(sound, path.removeprefix(base), limit=whole.size if whole else _INDEX_LIMIT)
                    return scan_packages(text, prefixes=distro.index_prefixes, names=packages)
            except Gone as fault:
                gone = gone or fault
    raise gone or IndexDamaged(f"{base} is not offered")


def _urls(repository: Repository, release: Release, path: str, file: IndexFile) -> Iterator[str]:
    """By hash first: what is there cannot change while the mirror is being updated."""
    if release.by_hash:
        yield f"{_folder(repository)}/{path.rpartition('/')[0]}/by-hash/SHA256/{file.sha256}"
    yield f"{_folder(repository)}/{path}"


def _newest(stanzas: Iterable[Stanza], distro: Distro, names: frozenset[str], mirror: str) -> Iterator[Package]:
    best: dict[str, Stanza] = {}
    for stanza in stanzas:
        if stanza.name in names and stanza.arch in ("all", BUILD_ARCH):
            known = best.get(stanza.name)
            if not known or distro.compare(stanza.version, known.version) > 0:
                best[stanza.name] = stanza
    for stanza in best.values():
        yield stanza.package(mirror)


def _folder(repository: Repository) -> str:
    return f"{repository.mirror.rstrip('/')}/dists/{repository.suite}"


def _place(repository: Repository) -> Place:
    return Place(
        distro=repository.distro,
        series=repository.series,
        repository=repository.name,
        mirror=repository.mirror,
        arches=repository.arches,
    )
