"""Which kernels there are: looks at one repository, merges what several list, tells what is new."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from .distros import BUILD_ARCH, DISTROS, Distro, Place, index_place
from .errors import IndexDamaged, KmodciError
from .model import Evidence, Kernel, Package, Target
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

    @property
    def targets(self) -> frozenset[Target]:
        """What it is asked for."""
        return frozenset(Target(distro=self.distro, series=self.series, arch=arch) for arch in self.arches)


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
    """no repository lists them any more"""
    back: tuple[Kernel, ...]
    """were gone, and are listed again"""


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
    What is listed wins over what is gone; then the newest package version; then what went last; of equal ones that of
    the repository that comes first.
    """
    best: dict[tuple[str, str], Kernel] = {}
    for kernels in repositories:
        for kernel in kernels:
            key = (index_place(kernel.target), kernel.release)
            known = best.get(key)
            if not known or _wins(kernel, known):
                best[key] = kernel
    return tuple(best.values())


def _wins(kernel: Kernel, known: Kernel) -> bool:
    if bool(kernel.gone) != bool(known.gone):
        return not kernel.gone
    order = DISTROS[kernel.target.distro].compare(kernel.version, known.version)
    return order > 0 or (order == 0 and kernel.gone > known.gone)


def diff(known: Mapping[str, Kernel], found: Iterable[Kernel]) -> Diff:
    """known: by `str(kernel)`. A kernel that only moved to another repository has not changed."""
    now = {str(kernel): kernel for kernel in found}
    both = [(kernel, known[name]) for name, kernel in now.items() if name in known]
    return Diff(
        new=tuple(kernel for name, kernel in now.items() if name not in known),
        changed=tuple(kernel for kernel, before in both if _inputs(kernel) != _inputs(before)),
        gone=tuple(kernel for kernel, before in both if kernel.gone and not before.gone),
        back=tuple(kernel for kernel, before in both if before.gone and not kernel.gone),
    )


def missed(
    listed: Iterable[Kernel], found: Iterable[Kernel], asked: Collection[Target], now: float
) -> tuple[Kernel, ...]:
    """What a repository listed and does not list any more, marked with the time.

    asked: the targets that were looked for; now: in seconds since the epoch.
    """
    here = {str(kernel) for kernel in found}
    return tuple(
        replace(kernel, gone=now)
        for kernel in listed
        if not kernel.gone and kernel.target in asked and str(kernel) not in here
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
        problems=(*snapshot.problems, *found.problems),
        dated=snapshot.dated,
    )


def _canonical(listed: Listed, mirror: str, first: str) -> Listed:
    """The same package wherever its index was read, so that two looks are the same."""
    base = f"{mirror.rstrip('/')}/"
    if mirror == first or not listed.url.startswith(base):
        return listed
    return replace(listed, url=f"{first.rstrip('/')}/{listed.url.removeprefix(base)}")


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
