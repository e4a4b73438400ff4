"""A repository that is a list of kernel-crawler's (`crawlerlist`): what its entries name are packages."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from kmodci.errors import FetchError
from kmodci.release import BadName

from .base import MACHINES, Fetches, Group, Listed, Snapshot, Wanted
from .crawlerlist import Entry, KernelList, read_list
from .filenames import listed_at

ARCH = "{arch}"
"""in the address of a list: where that of another architecture has `aarch64` instead of `x86_64`"""
# bytes. The public list had 2.5 MB in 2022; since then it has kernel configurations in it, each of some 100 kB.
_LIMIT = 256 << 20
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlerIndex:
    """See `base.Index`. The mirror is the address of the lists: a URL or a file's path, with ARCH in it."""

    distribution: str
    """as the lists call it today"""

    def look(self, fetcher: Fetches, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        """See `base.Index`. A list does not say when it was made, so it is dated now."""
        # one without ARCH in its address is of the first architecture that is followed
        places = {mirror.replace(ARCH, MACHINES[arch]): arch for arch in reversed(wanted.arches)}
        state = [_validator(fetcher, place) for place in places]
        known, _, before = known_digest.partition("-")
        seen = "-".join(quote(each, safe="") for each in state)
        if all(state) and seen == before:
            return Snapshot(digest=known_digest, dated=now, listed=None)
        lists = {arch: self._read(fetcher, place) for place, arch in sorted(places.items())}
        digest = hashlib.sha256(repr(lists).encode()).hexdigest()
        if digest == known:
            return Snapshot(digest=f"{digest}-{seen}", dated=now, listed=None)
        groups, problems = _groups(lists)
        return Snapshot(digest=f"{digest}-{seen}", dated=now, listed=(), groups=groups, problems=problems)

    def _read(self, fetcher: Fetches, place: str) -> KernelList:
        with _chunks(fetcher, place) as chunks:
            return read_list(chunks, self.distribution)


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
        without = [entry for entry in found.entries if not entry.headers]
        configured = sum(bool(entry.config) for entry in without)
        if configured:
            problems.append(f"{configured} kernels of {MACHINES[arch]} have a configuration instead of header packages")
        if len(without) > configured:
            problems.append(f"{len(without) - configured} kernels of {MACHINES[arch]} have no header packages")
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


@contextmanager
def _chunks(fetcher: Fetches, place: str) -> Iterator[Iterator[bytes]]:
    """The bytes at a URL, or in a file. Raises FetchError."""
    if "://" in place:
        with fetcher.stream(place, limit=_LIMIT) as chunks:
            yield chunks
        return
    try:
        if Path(place).stat().st_size > _LIMIT:
            raise FetchError(place, f"is longer than the {_LIMIT} bytes expected")
        with Path(place).open("rb") as file:
            yield iter(lambda: file.read(_PIECE), b"")
    except OSError as fault:
        raise FetchError(place, (fault.strerror or str(fault)).lower()) from fault


def _validator(fetcher: Fetches, place: str) -> str:
    """What changes whenever the content does; empty where nothing is known that does. Raises FetchError."""
    if "://" in place:
        return fetcher.validator(place)
    try:
        state = Path(place).stat()
    except OSError as fault:
        raise FetchError(place, (fault.strerror or str(fault)).lower()) from fault
    return f"{state.st_mtime_ns} {state.st_size} {state.st_ino}"
