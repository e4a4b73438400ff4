"""An rpm repository: a folder with repodata/repomd.xml, as createrepo_c makes it and dnf reads it.

repomd.xml is the change detector: as long as the checksum in it of the primary index is the same, nothing else is
downloaded. Some vendors sign it (repomd.xml.asc), most sign each package instead.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from posixpath import splitext

from kmodci.digests import checked
from kmodci.errors import Gone, IndexDamaged

from .base import Reads, Scan, Signed, Snapshot, Wanted
from .compressed import SUFFIXES, decompressed
from .primary import scan_primary
from .primarydb import scan_database
from .repodata import PRIMARIES, Record, Repomd, located, parse_repomd
from .signature import check_signature

_REPOMD = "repodata/repomd.xml"
_REPOMD_LIMIT = 4 * 1024 * 1024
_SIGNATURE_LIMIT = 64 * 1024
_INDEX_LIMIT = 1024**3
"""bytes, packed and unpacked: of the largest that are known, an unpacked index has half of it"""
_UNSIGNED = "where the vendor signs packages and not the index, say `signed: packages` in targets.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class RpmIndex:
    """See `base.Index`."""

    path: str = ""
    """below the mirror: `9/BaseOS/x86_64/os`"""
    signed: Signed
    keyrings: tuple[Path, ...] = ()

    def look(self, fetcher: Reads, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        """See `base.Index`."""
        return self.look_at(fetcher, f"{mirror.rstrip('/')}/{self.path}".rstrip("/"), wanted, known_digest)

    def look_at(self, fetcher: Reads, repository: str, wanted: Wanted, known_digest: str) -> Snapshot:
        """The same of a repository by its URL."""
        content = fetcher.get(f"{repository}/{_REPOMD}", limit=_REPOMD_LIMIT)
        if self.signed is Signed.INDEX:
            self._check_signature(fetcher, repository, content)
        repomd = parse_repomd(content)
        record = self._primary(repomd)
        digest = self._digest(record)
        if digest == known_digest:
            return Snapshot(digest=digest, dated=repomd.dated, listed=None)
        scan = self._scan(fetcher, repository, record, wanted)
        if self.signed is Signed.INDEX:
            scan = _vouched(scan)
        problems = tuple(dict.fromkeys(scan.problems))
        return Snapshot(digest=digest, dated=repomd.dated, listed=scan.listed, problems=problems)

    def _digest(self, record: Record) -> str:
        """Names what is listed, and so also where that is and what of it is taken."""
        checksum = record.checksum
        words = [self.path, self.signed, record.kind, checksum.algorithm, checksum.digest]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()

    def _check_signature(self, fetcher: Reads, repository: str, content: bytes) -> None:
        try:
            signature = fetcher.get(f"{repository}/{_REPOMD}.asc", limit=_SIGNATURE_LIMIT)
        except Gone as fault:
            raise IndexDamaged(f"{repository}: its index is not signed ({fault.why})", hint=_UNSIGNED) from fault
        check_signature(content, signature, self.keyrings)

    def _primary(self, repomd: Repomd) -> Record:
        """The packages as XML; as a database where nothing else is offered."""
        found = [repomd.records[kind] for kind in PRIMARIES if kind in repomd.records]
        known = [record for record in found if _suffix(record) in SUFFIXES]
        if not known:
            offers = ", ".join(record.href for record in found) or "none"
            raise IndexDamaged(f"repomd.xml names no primary index of a form that is known: {offers[:200]}")
        if self.signed is Signed.INDEX and known[0].checksum.is_weak:
            # Where packages are signed, this sum only tells accidents; here it is all that binds them to the signature.
            raise IndexDamaged(
                f"repomd.xml vouches for its index with {known[0].checksum.algorithm}, which can be forged",
                hint="say `signed: packages` in targets.yml, if they are",
            )
        return known[0]

    def _scan(self, fetcher: Reads, repository: str, record: Record, wanted: Wanted) -> Scan:
        url = located(repository, record.href, record.base)
        if max(record.size, record.open_size) > _INDEX_LIMIT:
            raise IndexDamaged(f"{url}: an index of {max(record.size, record.open_size)} bytes is too large")
        with fetcher.stream(url, limit=record.size or _INDEX_LIMIT) as chunks:
            sum_ = record.checksum
            sound = checked(chunks, url=url, size=record.size, algorithm=sum_.algorithm, digest=sum_.digest)
            content = decompressed(sound, _suffix(record), limit=record.open_size or _INDEX_LIMIT)
            if record.kind == "primary":
                return scan_primary(content, repository=repository, wanted=wanted)
            return scan_database(content, repository=repository, wanted=wanted)


def _suffix(record: Record) -> str:
    """How it is compressed: `.gz`; empty where it is not."""
    suffix = splitext(record.href)[1]
    return "" if suffix in (".xml", ".sqlite") else suffix


def _vouched(scan: Scan) -> Scan:
    """Without what a signed index does not vouch for."""
    listed = tuple(package for package in scan.listed if package.sha256)
    lacking = [f"{each.name} {each.version}: the index has no SHA256 of it" for each in scan.listed if not each.sha256]
    return replace(scan, listed=listed, problems=(*scan.problems, *lacking))
