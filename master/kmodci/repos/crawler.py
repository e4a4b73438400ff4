"""A repository that is a list of kernel-crawler's (`crawlerlist`): what its entries name are packages."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from kmodci.errors import FetchError, IndexDamaged
from kmodci.release import BadName

from .base import MACHINES, Fetches, Group, Listed, Snapshot, Wanted
from .crawledsource import KernelOrg, source_group
from .crawlerlist import Entry, KernelList, read_list
from .filenames import listed_at

ARCH = "$basearch"
"""in the address of a list: stands for x86_64 or aarch64, where there is one for each"""
# bytes. The public list had 2.5 MB in 2022; since then it has kernel configurations in it, each of some 100 kB.
_LIMIT = 256 << 20
_PIECE = 1 << 20
_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlerIndex:
    """See `base.Index`. The mirror is the address of the lists: a URL or a file's path, with ARCH in it."""

    distribution: str
    """as the lists call it today"""
    kernel_org: str = ""
    """URL of pub/linux/kernel, there or on a mirror: what kernels that have no header packages are made of"""
    versions: tuple[str, ...] = ("*",)
    """patterns of the kernelversions that are taken, by which a list tells configurations of one release apart"""

    @property
    def selection(self) -> tuple[str, ...]:
        """See `base.Selects`. With the sources that kernels are made of, or are not."""
        return (self.kernel_org, *self.versions)

    def look(self, fetcher: Fetches, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        """See `base.Index`. A list does not say when it was made, so it is dated now."""
        # one without ARCH in its address is of the first architecture that is followed
        places = {mirror.replace(ARCH, MACHINES[arch]): arch for arch in reversed(wanted.arches)}
        known, *sums = known_digest.split("-")
        known_sums = dict(zip(sorted(places), sums, strict=False))
        read = {place: self._read(fetcher, place, known_sums.get(place, "")) for place in sorted(places)}
        if not any(read.values()):
            return Snapshot(digest=known_digest, dated=now, listed=None)
        # which of them is not the same does not matter: they are one answer
        found = {place: each or self._read(fetcher, place, "") for place, each in read.items()}
        lists = {places[place]: each.kernels for place, each in found.items() if each}
        content = hashlib.sha256(repr((self.kernel_org, lists)).encode()).hexdigest()
        digest = "-".join((content, *(each.sha256 for each in found.values() if each)))
        if content == known:
            return Snapshot(digest=digest, dated=now, listed=None)
        groups, problems = _groups(lists)
        sources, odd = self._sources(fetcher, {place: (places[place], each) for place, each in found.items() if each})
        return Snapshot(digest=digest, dated=now, listed=(), groups=(*groups, *sources), problems=(*problems, *odd))

    def _sources(
        self, fetcher: Fetches, lists: Mapping[str, tuple[str, "_Read"]]
    ) -> tuple[tuple[Group, ...], tuple[str, ...]]:
        """Of kernels with a configuration instead of header packages. lists: by place. Raises FetchError."""
        groups: list[Group] = []
        problems: list[str] = []
        kernel_org = KernelOrg(fetcher, self.kernel_org)
        for place, (arch, read) in lists.items():
            entries = [entry for entry in read.kernels.entries if entry.config and not entry.headers]
            if entries and not self.kernel_org:
                what = f"{len(entries)} kernels of {MACHINES[arch]} have a configuration instead of header packages"
                problems.append(f"{what}: name a mirror kernel.org in targets.yml for their sources")
                continue
            for entry in entries:
                try:
                    groups.append(source_group(entry, self.distribution, arch, place, kernel_org))
                except (BadName, IndexDamaged) as fault:
                    problems.append(f"{entry.title}: {fault.brief.removeprefix(f'{entry.title}: ')}")
        return tuple(groups), tuple(problems)

    def _read(self, fetcher: Fetches, place: str, known: str) -> "_Read | None":
        """None if it is what had this SHA256. Raises FetchError, IndexDamaged."""
        content = fetcher.get_unless(place, sha256=known, limit=_LIMIT) if "://" in place else _file(place)
        if content is None or (sha256 := hashlib.sha256(content).hexdigest()) == known:
            return None
        pieces = (content[at : at + _PIECE] for at in range(0, len(content), _PIECE))
        kernels = read_list(pieces, self.distribution)
        wanted = tuple(
            each for each in kernels.entries if any(fnmatchcase(each.version, like) for like in self.versions)
        )
        problems = kernels.problems if wanted else (*kernels.problems, self._unfit(kernels))
        return _Read(sha256=sha256, kernels=replace(kernels, entries=wanted, problems=problems))

    def _unfit(self, kernels: KernelList) -> str:
        """Why nothing is taken of a list."""
        there = list(dict.fromkeys(each.version[:40] for each in kernels.entries))
        more = f" and {len(there) - _EXAMPLES} more" if len(there) > _EXAMPLES else ""
        shown = ", ".join(map(repr, there[:_EXAMPLES]))
        return f"no kernelversion of {self.distribution} fits {', '.join(self.versions)}; there are {shown}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    sha256: str
    kernels: KernelList


def _groups(lists: Mapping[str, KernelList]) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """lists: by architecture. With them what cannot be taken."""
    groups: list[Group] = []
    problems: list[str] = []
    for arch, found in lists.items():
        problems += found.problems
        for entry in found.entries:
            packages, odd = _packages(entry)
            problems += odd
            if packages:
                groups.append(Group(title=entry.title, packages=packages, arches=(arch,)))
        if without := sum(not (entry.headers or entry.config) for entry in found.entries):
            problems.append(f"{without} kernels of {MACHINES[arch]} have no header packages")
    return tuple(_with_twins(groups)), tuple(problems)


def _packages(entry: Entry) -> tuple[tuple[Listed, ...], list[str]]:
    """Each once, because lists have had the same file on several mirrors; with the URLs that are of no package."""
    packages: dict[tuple[str, str, str], Listed] = {}
    problems: list[str] = []
    for url in entry.headers:
        try:
            found = listed_at(url)
        except BadName as fault:
            problems.append(f"{entry.title}: {fault.brief}")
        else:
            packages.setdefault((found.name, found.version, found.arch), found)
    return tuple(packages.values()), problems


def _with_twins(groups: Sequence[Group]) -> Iterator[Group]:
    """With the same packages of other architectures, as far as another list has them.

    Debian's linux-kbuild has programs: those of arm64 kernels run on amd64 here, and are of the same source.
    """
    twins: dict[tuple[str, str], dict[str, Listed]] = {}
    for group in groups:
        for package in group.packages:
            twins.setdefault((package.name, package.version), {}).setdefault(package.arch, package)
    for group in groups:
        here = {(package.name, package.version, package.arch) for package in group.packages}
        more = [
            twin
            for package in group.packages
            if package.arch in group.arches
            for twin in twins[package.name, package.version].values()
            if (twin.name, twin.version, twin.arch) not in here
        ]
        yield replace(group, packages=(*group.packages, *more))


def _file(path: str) -> bytes:
    """Raises FetchError."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as fault:
        raise FetchError(path, (fault.strerror or str(fault)).lower()) from fault
    if len(content) > _LIMIT:
        raise FetchError(path, f"is longer than the {_LIMIT} bytes expected")
    return content
