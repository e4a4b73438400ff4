"""Which kernels there are: looks at one repository, merges what several list, tells what is new."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from .distros import BUILD_ARCH, DISTROS, Distro, Place, index_place
from .errors import IndexDamaged, KmodciError
from .model import Evidence, Kernel, Package
from .repos.base import Fetches, Index, Listed, Wanted

# Raise it when the same index means other kernels than before, so that it is read again.
_READING = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One package index of a series, and where it can be read."""

    name: str
    """`bookworm-security main`"""
    distro: str
    series: str
    arches: tuple[str, ...]
    index: Index
    mirrors: tuple[str, ...]
    """base URLs that serve the same; the first that answers is read, the first of all names the packages"""
    compiler: str = ""
    """of its kernels, where neither their packages nor their configuration say (`gcc-12`)"""


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
    contents: Mapping[str, bytes] = field(default_factory=dict)
    """what was read of the kernels' packages already, by SHA256: configurations"""
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
    """Reads a repository, from the first mirror that answers as it should.

    known_digest: of the last look; if the repository still is what it was, little is read. packages: names of further
    packages to look for. now: with a time zone. Raises FetchError, Gone; IndexDamaged for what is not to be believed.
    """
    first: KmodciError | None = None
    for mirror in repository.mirrors:
        try:
            return _look(repository, mirror, fetcher, known_digest, packages, now)
        except IndexDamaged as fault:
            first = first or IndexDamaged(f"{repository.name}: {fault.brief}", hint=fault.hint)
        except KmodciError as fault:
            first = first or fault
    assert first is not None  # a repository has a mirror
    raise first


def merge(repositories: Iterable[Iterable[Kernel]]) -> tuple[Kernel, ...]:
    """One kernel per distribution, architecture and release, out of several repositories' kernels.

    (And per series, where a distribution has different kernels of one release in its series.)
    The newest package version wins; of equal ones that of the repository that comes first.
    """
    best: dict[tuple[str, str], Kernel] = {}
    for kernels in repositories:
        for kernel in kernels:
            key = (index_place(kernel.target), kernel.release)
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
    # a compiler that the headers name is learned after the look, and is no news of the repository
    toolchain = kernel.toolchain if kernel.evidence is Evidence.PACKAGE else ""
    return kernel.version, toolchain, kernel.headers_digest


def _look(
    repository: Repository, mirror: str, fetcher: Fetches, known_digest: str, packages: frozenset[str], now: datetime
) -> Look:
    distro = DISTROS[repository.distro]
    wanted = Wanted(
        prefixes=distro.index_prefixes, names=packages, arches=tuple(distro.index_arches(repository.arches))
    )
    # what the index says has been read before only if the same was asked of it, and understood in the same way
    asked = [_READING, repository.distro, repository.series, repository.mirrors[0], repository.compiler]
    asked += [*repository.arches, *wanted.prefixes, *sorted(packages)]
    head = hashlib.sha256("\n".join(asked).encode()).hexdigest()[:16]
    known = known_digest.removeprefix(f"{head}-") if known_digest.startswith(f"{head}-") else ""
    snapshot = repository.index.look(fetcher, mirror, wanted, known, now)
    digest = f"{head}-{snapshot.digest}"
    if snapshot.listed is None:
        return Look(repository=repository.name, release_digest=digest, changed=False, dated=snapshot.dated)
    listed = [_canonical(each, mirror, repository.mirrors[0]) for each in snapshot.listed]
    found = distro.kernels(listed, _place(repository))
    return Look(
        repository=repository.name,
        release_digest=digest,
        changed=True,
        kernels=found.kernels,
        packages=tuple(_newest(listed, distro, packages)),
        contents=_contents(listed, found.kernels),
        problems=(*snapshot.problems, *found.problems),
        dated=snapshot.dated,
    )


def _canonical(listed: Listed, mirror: str, first: str) -> Listed:
    """The same package wherever its index was read, so that two looks are the same."""
    base = f"{mirror.rstrip('/')}/"
    if mirror == first or not listed.url.startswith(base):
        return listed
    return replace(listed, url=f"{first.rstrip('/')}/{listed.url.removeprefix(base)}")


def _contents(listed: Iterable[Listed], kernels: Iterable[Kernel]) -> dict[str, bytes]:
    wanted = {package.sha256 for kernel in kernels for package in kernel.headers}
    return {each.sha256: each.content for each in listed if each.content is not None and each.sha256 in wanted}


def _newest(listed: Iterable[Listed], distro: Distro, names: frozenset[str]) -> Iterator[Package]:
    best: dict[str, Listed] = {}
    for each in listed:
        if each.name in names and each.arch in ("all", BUILD_ARCH):
            known = best.get(each.name)
            if not known or distro.compare(each.version, known.version) > 0:
                best[each.name] = each
    for each in best.values():
        yield each.package()


def _place(repository: Repository) -> Place:
    return Place(
        distro=repository.distro,
        series=repository.series,
        repository=repository.name,
        arches=repository.arches,
        compiler=repository.compiler,
    )
