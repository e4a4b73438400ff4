"""A pacman repository: one of Arch's, such as `core`, or anybody's that repo-add(8) keeps.

No small file says what a database has, so the database itself is the change detector: as long as it is the same it
is not read, and a server that knows validators does not even send it again. Arch does not sign its databases, but each
package (https://wiki.archlinux.org/title/Pacman/Package_signing); who signs a database has the signature beside it.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kmodci.errors import IndexDamaged

from .base import MACHINES, Fetches, Snapshot, Wanted
from .pacmandb import LIMIT, read_database
from .signature import check_signature

_SIGNATURE_LIMIT = 64 * 1024
_DATE = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class PacmanIndex:
    """See `base.Index`."""

    repository: str
    """`core`"""
    keyrings: tuple[Path, ...] = ()
    """by whose keys the database has to be signed; none: it need not be"""

    def look(self, fetcher: Fetches, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        """See `base.Index`."""
        folder = f"{mirror.rstrip('/')}/{folder_of(self.repository, wanted)}"
        url = f"{folder}/{self.repository}.db"
        date, _, known = known_digest.partition(" ")
        content = fetcher.get_unless(url, sha256=known, limit=LIMIT)
        digest = hashlib.sha256(content).hexdigest() if content is not None else known
        if content is None or digest == known:
            return Snapshot(digest=known_digest, dated=datetime.strptime(date, _DATE).replace(tzinfo=UTC), listed=None)
        if self.keyrings:
            check_signature(content, fetcher.get(f"{url}.sig", limit=_SIGNATURE_LIMIT), self.keyrings)
        found = read_database(content, folder=folder, wanted=wanted)
        # with its date, because an unchanged database is not read
        digest = f"{found.dated:{_DATE}} {digest}"
        return Snapshot(digest=digest, dated=found.dated, listed=found.listed, problems=found.problems)


def folder_of(repository: str, wanted: Wanted) -> str:
    """`core/os/x86_64`, below a mirror's base URL.

    Arch has this architecture only; Arch Linux ARM is another project, whose mirrors are laid out otherwise.
    Raises IndexDamaged for others.
    """
    if wanted.arches != ("amd64",):
        raise IndexDamaged(
            f"Arch has no packages for {', '.join(wanted.arches)}", hint="correct `arches:` in targets.yml: [amd64]"
        )
    return f"{repository}/os/{MACHINES['amd64']}"
