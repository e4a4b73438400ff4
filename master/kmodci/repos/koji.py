"""Koji: every build of a package that was ever made, also those that the repositories have dropped since.

A hub is asked by XML-RPC for builds and their packages. The packages lie in a tree of files: as they were built, and
in `data/signed/<key>` as they were signed (copies of old ones are removed from there after a while). Asked for are the
newest build that fits, which is the change detector; if it is another, the list of builds; and of those that are not
known yet, the packages. A finished build does not change, so it is asked for once.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from kmodci.errors import IndexDamaged
from kmodci.release import BadName

from .base import MACHINES, Fetches, Listed, Scan, Snapshot, Wanted
from .kojihub import Build, BuiltRpm, Hub, Row, build_of, rpm_of
from .remembered import Remembered
from .repodata import Checksum
from .rpmpackage import evr, is_wanted, make_listed

_PAGE = 50
_SIGNED_WITHIN = timedelta(days=14)
"""a build that is not signed for so long is not waited for"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KojiIndex:
    """See `base.Index`. A mirror is the top of the hub's files."""

    hub: str
    """the URL that answers XML-RPC"""
    package: str
    """`kernel`"""
    builds: str
    """which builds: a pattern of their releases, `*.fc42`"""
    newest: int
    """how many of them at most"""
    key: str = ""
    """the id of the key whose signed copies are taken; empty: the packages as they were built"""
    remembered: Remembered

    def look(self, fetcher: Fetches, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        """See `base.Index`; also raises IndexDamaged if the hub has no such package, or no such build."""
        hub = Hub(fetcher, self.hub)
        package = hub.package_id(self.package)
        if package is None:
            raise IndexDamaged(f"{self.hub}: there is no package {self.package!r}", hint="correct `koji:`")
        latest = hub.builds(package, self._pattern, count=1)
        if not latest:
            raise IndexDamaged(
                f"{self.hub}: no build of {self.package} is like {self.builds}", hint="correct `builds:`"
            )
        head, dated = _head(latest[0]), _dated(latest[0])
        if known_digest.startswith(f"{head} settled "):
            return Snapshot(digest=known_digest, dated=dated, listed=None)
        reading = _Reading(self, hub, mirror.rstrip("/"), wanted, now)
        scan = reading.read(package)
        found = hashlib.sha256(repr(scan).encode()).hexdigest()
        digest = f"{head} {'open' if reading.is_open else 'settled'} {found}"
        if digest == known_digest:
            return Snapshot(digest=digest, dated=dated, listed=None)
        return Snapshot(digest=digest, dated=dated, listed=scan.listed, problems=scan.problems)

    @property
    def _pattern(self) -> str:
        return f"{self.package}-*-{self.builds}"


@dataclass(slots=True)
class _Reading:
    """One look at all builds. is_open: one of them may soon be signed."""

    index: KojiIndex
    hub: Hub
    files: str
    wanted: Wanted
    now: datetime
    is_open: bool = False

    def read(self, package: int) -> Scan:
        """Everything, the newest first: the same whatever was remembered."""
        listed: list[Listed] = []
        problems: list[str] = []
        for build in self._builds(package, problems):
            scan = self._remembered(build)
            listed += [replace(each, url=f"{self.files}/{each.url}") for each in scan.listed]
            problems += scan.problems
        return Scan(listed=tuple(listed), problems=tuple(problems))

    def _builds(self, package: int, problems: list[str]) -> list[Build]:
        found: dict[int, Build] = {}
        for offset in range(0, self.index.newest, _PAGE):
            count = min(_PAGE, self.index.newest - offset)
            rows = self.hub.builds(package, self.index._pattern, count=count, offset=offset)
            for row in rows:
                try:
                    build = build_of(row)
                except (BadName, IndexDamaged) as fault:
                    problems.append(f"build {row.get('build_id')!r:.20}: {fault.brief}")
                else:
                    # a hub's patterns do not care for upper and lower case
                    if build and build.name == self.index.package and fnmatchcase(build.release, self.index.builds):
                        found.setdefault(build.identity, build)
            if len(rows) < count:
                break
        return list(found.values())

    def _remembered(self, build: Build) -> Scan:
        asked = (*self.wanted.prefixes, "", *sorted(self.wanted.names), "", *self.wanted.arches)
        key = ("koji", self.index.hub, self.index.key, str(build.identity), *asked)
        scan = self.index.remembered.get(*key)
        if scan is None:
            scan = self._scan(build)
            is_complete = not scan.problems and all(each.sha256 for each in scan.listed)
            if is_complete:
                self.index.remembered.put(scan, *key)
            elif self.now.timestamp() - build.completed < _SIGNED_WITHIN.total_seconds():
                self.is_open = True
        return scan

    def _scan(self, build: Build) -> Scan:
        """The packages of one build, with their places below the hub's files."""
        listed: list[Listed] = []
        problems: list[str] = []
        for row in self.hub.rpms(build, [*(MACHINES[arch] for arch in self.wanted.arches), "noarch"]):
            try:
                rpm = rpm_of(row)
                package = self._listed(build, rpm)
                if is_wanted(package, self.wanted):
                    listed.append(self._vouched(rpm, package))
            except (BadName, IndexDamaged) as fault:
                problems.append(f"{build}: {fault.brief}")
        return Scan(listed=tuple(listed), problems=tuple(problems))

    def _listed(self, build: Build, rpm: BuiltRpm) -> Listed:
        """Raises BadName."""
        signed = f"data/signed/{self.index.key}/" if self.index.key else ""
        return make_listed(
            name=rpm.name,
            version=evr(rpm.epoch, rpm.version, rpm.release),
            arch=rpm.arch,
            url=f"{build.folder}/{signed}{rpm.path}",
            size=0 if self.index.key else rpm.size,
            checksum=Checksum(algorithm="sha256", digest=""),
        )

    def _vouched(self, rpm: BuiltRpm, package: Listed) -> Listed:
        """With the SHA256 of the copy that is taken, where the hub has that. Raises IndexDamaged if there is none."""
        checksums = self.hub.checksums(rpm)
        if checksums is None:
            return package
        if self.index.key and self.index.key not in checksums:
            raise IndexDamaged(f"{rpm.path}: not signed with {self.index.key}")
        return replace(package, sha256=checksums.get(self.index.key, ""))


def _head(row: Row) -> str:
    """Names the newest build."""
    return hashlib.sha256(f"{row.get('build_id')!r} {row.get('completion_ts')!r}".encode()).hexdigest()[:16]


def _dated(row: Row) -> datetime:
    completed = row.get("completion_ts")
    try:
        return datetime.fromtimestamp(completed if isinstance(completed, int | float) else 0, UTC)
    except (ValueError, OverflowError, OSError) as fault:
        raise IndexDamaged(f"a build was completed at {completed!r:.60}") from fault
