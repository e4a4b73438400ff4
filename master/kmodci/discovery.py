"""Which kernels there are: looks at one repository, merges what several list, tells what is new."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Protocol

from .distros import DISTROS, Distro, Found, Place, index_place
from .errors import FetchError, Gone, IndexDamaged, KmodciError
from .fallover import FallOver
from .model import BUILD_ARCH, Evidence, Kernel, Package, Target
from .repos.base import Fetches, Group, Index, Listed, Selects, Wanted
from .selectors import matches

# Raise it when the same index means other kernels than before, so that it is read again.
_READING = "5"
# A list of thousands of odd entries is told by the first of them.
_MOST_PROBLEMS = 100
# for one look, all mirrors together; each gets an equal share
_SECONDS = 900.0


class Backwards(IndexDamaged):
    """What a mirror has is older than what was there; of a look, that this is all that its mirrors have."""


class Fetching(Fetches, Protocol):
    """What is needed of `fetch.Fetcher`."""

    def within(self, seconds: float) -> Fetches: ...


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
    releases: tuple[str, ...] = ("*",)
    """patterns of the kernel releases that are taken from it, where it lists those of other series too"""

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
    contents: Mapping[str, bytes] = field(default_factory=dict)
    """what was read of the kernels' packages already, by SHA256: configurations"""
    problems: tuple[str, ...] = ()
    dated: datetime
    """when the repository was published, as it says itself"""
    mirror_faults: tuple[str, ...] = ()
    """the mirrors that failed, now or lately, although another one answered: each with the reason"""
    base: str = ""
    """as `Snapshot.base`"""


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
    fetcher: Fetching,
    *,
    known_digest: str = "",
    known_date: datetime | None = None,
    packages: frozenset[str] = frozenset(),
    now: datetime,
    fallover: FallOver | None = None,
) -> Look:
    """Reads a repository, from the first mirror that answers as it should, within a quarter of an hour.

    known_digest, known_date: of the last look; if the repository still is what it was, little is read, and what is
    older than that is no answer. packages: names of further packages to look for. now: with a time zone. fallover:
    remembers from look to look which mirrors failed. Raises FetchError, Gone; IndexDamaged for what is not to be
    believed; Backwards if every mirror has something older.
    """
    fallover = fallover or FallOver()
    mirrors = fallover.order(repository.mirrors, repository.name)
    faults: list[KmodciError] = []
    for mirror in mirrors:
        bounded = fetcher.within(_SECONDS / len(mirrors))
        try:
            found = _look(repository, mirror, bounded, known_digest, known_date, packages, now)
        except FetchError as fault:
            faults.append(fault)
            fallover.failed(mirror, fault.brief, repository.name if isinstance(fault, Gone) else "")
        except IndexDamaged as fault:
            fault.brief = f"{repository.name} at {mirror}: {fault.brief}"
            faults.append(fault)
            fallover.failed(mirror, fault.brief, repository.name)
        else:
            fallover.answered(mirror, repository.name)
            return replace(found, mirror_faults=fallover.faults(repository.mirrors, repository.name))
    raise _together(faults)


def _together(faults: Sequence[KmodciError]) -> KmodciError:
    """The first, which also tells of the others."""
    first = faults[0]
    if isinstance(first, Backwards) and not all(isinstance(fault, Backwards) for fault in faults):
        # what another mirror has is not known
        first = IndexDamaged(first.brief, hint=first.hint)
    first.brief = "; ".join(fault.brief for fault in faults)
    return first


def merge(repositories: Iterable[Iterable[Kernel]]) -> tuple[Kernel, ...]:
    """One kernel per distribution, architecture and release, out of several repositories' kernels.

    (And per series, where a distribution has different kernels of one release in its series.)
    What an index vouches for wins over what none does; then what is listed over what is gone; then the newest package
    version; then what went last; of equal ones that of the repository that comes first.
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
    if _is_vouched_for(kernel) != _is_vouched_for(known):
        return _is_vouched_for(kernel)
    if bool(kernel.gone) != bool(known.gone):
        return not kernel.gone
    order = DISTROS[kernel.target.distro].compare(kernel.version, known.version)
    return order > 0 or (order == 0 and kernel.gone > known.gone)


def _is_vouched_for(kernel: Kernel) -> bool:
    """Or anybody's list could put its packages in place of those of a signed index, with a higher number."""
    return all(package.sha256 for package in kernel.headers)


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
    repository: Repository,
    mirror: str,
    fetcher: Fetches,
    known_digest: str,
    known_date: datetime | None,
    packages: frozenset[str],
    now: datetime,
) -> Look:
    distro = DISTROS[repository.distro]
    wanted = Wanted(
        prefixes=distro.index_prefixes, names=packages, arches=tuple(distro.index_arches(repository.arches))
    )
    # what the index says has been read before only if the same was asked of it, and understood in the same way
    asked = [_READING, repository.distro, repository.series, repository.mirrors[0], repository.compiler]
    asked += [*repository.arches, *repository.releases, *wanted.prefixes, *sorted(packages)]
    if isinstance(repository.index, Selects):
        asked += repository.index.selection
    head = hashlib.sha256("\n".join(asked).encode()).hexdigest()[:16]
    known = known_digest.removeprefix(f"{head}-") if known_digest.startswith(f"{head}-") else ""
    snapshot = repository.index.look(fetcher, mirror, wanted, known, now)
    digest = f"{head}-{snapshot.digest}"
    # of an earlier question nothing is known: another mirror may have been named, which is behind
    latest = max(snapshot.dated, known_date) if known and known_date else snapshot.dated
    if snapshot.listed is None:
        return Look(repository=repository.name, release_digest=digest, changed=False, dated=latest)
    if snapshot.dated < latest:
        raise Backwards(
            f"it is of {snapshot.dated:%Y-%m-%d %H:%M} UTC, and one of {latest:%Y-%m-%d %H:%M} UTC was there before",
            hint="the mirror lags, or shows an old state again; what is known stays. Name another mirror if this does",
        )
    listed = [_canonical(each, mirror, repository.mirrors[0]) for each in snapshot.listed]
    place = _place(repository)
    found = [distro.kernels(listed, place), *(kernels_of(group, distro, place) for group in snapshot.groups)]
    kernels = (kernel for each in found for kernel in each.kernels if matches(kernel.release, repository.releases))
    # a list may have a kernel twice, at two versions
    merged = merge([kernels])
    return Look(
        repository=repository.name,
        release_digest=digest,
        changed=True,
        kernels=merged,
        packages=tuple(_newest(listed, distro, packages)),
        contents=_contents(chain(listed, *(group.packages for group in snapshot.groups)), merged),
        problems=_bounded([*snapshot.problems, *(problem for each in found for problem in each.problems)]),
        dated=snapshot.dated,
        base=snapshot.base,
    )


def kernels_of(group: Group, distro: Distro, place: Place) -> Found:
    """The kernels that a group's packages are, and what is odd about them; one or the other, but for no architecture
    that is not asked for."""
    arches = tuple(arch for arch in place.arches if arch in group.arches)
    if not arches:
        return Found(kernels=())
    found = distro.kernels(group.packages, replace(place, arches=arches))
    problems = [f"{group.title}: {problem}" for problem in found.problems]
    if not found.kernels and not problems:
        files = ", ".join(package.url.rpartition("/")[2] for package in group.packages[:5])
        problems = [f"{group.title}: no kernel of {place.distro} for {' or '.join(arches)} in {files or 'nothing'}"]
    return Found(kernels=found.kernels, problems=tuple(problems))


def _bounded(problems: Iterable[str]) -> tuple[str, ...]:
    """Each once, and no more than a page can show."""
    unique = tuple(dict.fromkeys(problems))
    more = len(unique) - _MOST_PROBLEMS
    return (*unique[:_MOST_PROBLEMS], f"and {more} more like these") if more > 0 else unique


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
