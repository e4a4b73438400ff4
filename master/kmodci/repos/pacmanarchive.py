"""The Arch Linux Archive: what a repository was on each day, and every package that it ever had.

Sources: https://wiki.archlinux.org/title/Arch_Linux_Archive, and the archive's own program,
https://github.com/archlinux/archivetools. For each day there is a copy of the repositories as they were at one time of
it, `repos/YYYY/MM/DD/core/os/x86_64/core.db`; and every package of these, with its signature, lies for good in
`packages/l/linux-headers/`.

Kernels are found in the databases of the days, not in the listings of `packages`. A database has each package's
SHA256, so a kernel is the same whether `core` or the archive lists it, and nothing is built again when `core` drops it;
it is read as any database is, while a listing is a page of HTML that has no checksum; and it has what was published,
not what was uploaded. That it costs more requests is made up for by asking once: a day that is over does not change.
A package that was in a repository for less than a day may be in no database.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from kmodci.errors import Gone, IndexDamaged, KmodciError

from .base import Fetches, Listed, Scan, Snapshot, Wanted
from .pacman import folder_of
from .pacmandb import LIMIT, read_database
from .remembered import Remembered

_AT_A_LOOK = 31
"""how many days are asked for at a time: the archive is one server, and `extra` has 9 MB a day"""
_LATE = timedelta(days=7)
"""a day that is missing after so long is not waited for: the archive was not running"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PacmanArchive:
    """See `base.Index`. The newest days are read first; several looks may be needed to read all."""

    repository: str
    """`core`"""
    since: date
    """the first day"""
    remembered: Remembered

    def look(self, fetcher: Fetches, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        """See `base.Index`; raises what came of the newest day if none can be read."""
        base, yesterday = mirror.rstrip("/"), now.astimezone(UTC).date() - timedelta(days=1)
        days = [yesterday - timedelta(days=back) for back in range((yesterday - self.since).days + 1)]
        known = {day: scan for day in days if (scan := self.remembered.get(*self._key(base, day, wanted)))}
        unread = [day for day in days if day not in known]
        faults = self._read(fetcher, base, wanted, unread[:_AT_A_LOOK], known)
        if not known:
            fallback = IndexDamaged(
                f"no day since {self.since} is over", hint="correct `archive_since:` in targets.yml"
            )
            raise next(iter(faults.values()), fallback)
        problems = [f"{day}: {fault.brief}" for day, fault in faults.items()]
        for day in [day for day, fault in faults.items() if isinstance(fault, Gone) and yesterday - day >= _LATE]:
            self.remembered.put(Scan(listed=()), *self._key(base, day, wanted))
        if left := len(unread[_AT_A_LOOK:]):
            problems.append(f"{left} days of the archive are not read yet; the next looks will")
        return _snapshot(base, known, problems, known_digest)

    def _read(
        self, fetcher: Fetches, base: str, wanted: Wanted, days: Iterable[date], known: dict[date, Scan]
    ) -> dict[date, KmodciError]:
        """Adds the days to what is known, and returns why some could not be read: one bad day does not end it."""
        faults: dict[date, KmodciError] = {}
        for day in days:
            folder = f"repos/{day:%Y/%m/%d}/{folder_of(self.repository, wanted)}"
            try:
                content = fetcher.get(f"{base}/{folder}/{self.repository}.db", limit=LIMIT)
                found = read_database(content, folder="", wanted=wanted)
            except (Gone, IndexDamaged) as fault:
                faults[day] = fault
            else:
                known[day] = Scan(listed=tuple(map(_for_good, found.listed)), problems=found.problems)
                self.remembered.put(known[day], *self._key(base, day, wanted))
        return faults

    def _key(self, base: str, day: date, wanted: Wanted) -> tuple[str, ...]:
        asked = (*wanted.prefixes, "", *sorted(wanted.names), "", *wanted.arches)
        return "archive", base, self.repository, str(day), *asked


def _for_good(listed: Listed) -> Listed:
    """Where the archive has it whatever the day, relative to its base URL."""
    return replace(listed, url=f"packages/{listed.name[0]}/{listed.name}{listed.url}")


def _snapshot(base: str, known: Mapping[date, Scan], problems: Sequence[str], known_digest: str) -> Snapshot:
    """The same whatever was read now and what was remembered."""
    days = [known[day] for day in sorted(known)]
    rows = dict.fromkeys(row for day in days for row in day.listed)
    told = (*problems, *dict.fromkeys(problem for day in days for problem in day.problems))
    dated = datetime.combine(max(known), time(), UTC)
    digest = hashlib.sha256(repr((dated, *rows, *told)).encode()).hexdigest()
    if digest == known_digest:
        return Snapshot(digest=digest, dated=dated, listed=None)
    listed = tuple(replace(row, url=f"{base}/{row.url}") for row in rows)
    return Snapshot(digest=digest, dated=dated, listed=listed, problems=told)
