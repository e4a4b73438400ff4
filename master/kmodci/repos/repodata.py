"""repomd.xml: what an rpm repository says of itself, and where its indices are.

There is no specification; what createrepo_c writes and dnf reads is the format
(https://github.com/rpm-software-management/createrepo_c).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit
from xml.etree.ElementTree import Element

from kmodci.errors import IndexDamaged
from kmodci.release import BadName

from .safexml import child, children, local_name, parsed, text_of

PRIMARIES = ("primary", "primary_db")
"""the packages, as XML and as an SQLite database"""
XML_BASE = "{http://www.w3.org/XML/1998/namespace}base"
# hex digits, by hashlib's names
_CHECKSUMS: Mapping[str, int] = {"sha512": 128, "sha384": 96, "sha256": 64, "sha224": 56, "sha1": 40, "md5": 32}
_HEX = re.compile(r"[0-9a-f]+")
_HREF = re.compile(r"[0-9A-Za-z+.~_^%@=,:/-]{1,1024}")
# since 1973: a revision may be a version
_SECONDS = re.compile(r"[0-9]{9,10}(\.[0-9]{1,9})?")
_LARGEST = 4 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """Of a file, as an index gives it."""

    algorithm: str
    """as hashlib names it"""
    digest: str
    """hex"""

    @property
    def is_weak(self) -> bool:
        """Whether two files can be made that have the same."""
        return self.algorithm in ("sha1", "md5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A file that repomd.xml names."""

    kind: str
    """one of PRIMARIES"""
    href: str
    base: str
    """see `located`"""
    checksum: Checksum
    """of the file as it is served"""
    size: int
    """bytes; 0 where it does not say"""
    open_size: int
    """the same, unpacked"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repomd:
    """What a repository says of itself."""

    dated: datetime
    """when its newest file was made; 1970 where it does not say"""
    records: Mapping[str, Record]
    """by kind; those of PRIMARIES"""


def parse_repomd(content: bytes) -> Repomd:
    """Raises IndexDamaged if it is none, BadName for what could do harm in it."""
    root = parsed(content, "repomd.xml")
    if local_name(root) != "repomd":
        raise IndexDamaged(f"not a repomd.xml: its root is <{local_name(root)[:40]}>")
    data = list(children(root, "data"))
    # a revision is when the index was made, unless whoever made it has given another; some write fractions
    dated = max((_time(text_of(each, "timestamp")) for each in data), default=0.0) or _time(text_of(root, "revision"))
    records = {kind: _record(kind, each) for each in data if (kind := each.get("type", "")) in PRIMARIES}
    return Repomd(dated=datetime.fromtimestamp(dated, tz=UTC), records=records)


def located(repository: str, href: str, base: str = "") -> str:
    """The URL of a file of a repository (its URL); href: as the index says; base: its xml:base, if it has one.

    Some vendors keep packages outside of the folder that the index is in (Amazon: `../../../../blobstore/...`), and
    that is followed. But a file comes from the server that its index is on: an index, which need not be signed, cannot
    have the farm ask others. Raises BadName.
    """
    if not _HREF.fullmatch(href) or (base and not _HREF.fullmatch(base)):
        raise BadName(f"not a location: {f'{base} {href}'.strip()[:120]!r}")
    root = f"{repository.rstrip('/')}/"
    url = urljoin(urljoin(root, f"{base.rstrip('/')}/") if base else root, href)
    there, here = urlsplit(url), urlsplit(root)
    if (there.scheme, there.netloc) != (here.scheme, here.netloc):
        raise BadName(f"not on the server of its index: {url[:120]!r}")
    if ".." in there.path.split("/") or "%2e" in there.path.lower() or there.path.endswith("/"):
        raise BadName(f"not a location: {href[:120]!r}")
    return url.replace("^", "%5E")


def checksum_of(element: Element) -> Checksum:
    """A <checksum type="...">. Raises IndexDamaged."""
    return make_checksum(element.get("type", ""), (element.text or "").strip())


def make_checksum(kind: str, digest: str) -> Checksum:
    """kind: as createrepo names it, to whom `sha` is SHA-1. Raises IndexDamaged."""
    algorithm = "sha1" if kind == "sha" else kind
    if len(digest) != _CHECKSUMS.get(algorithm) or not _HEX.fullmatch(digest):
        raise IndexDamaged(f"not a checksum: {kind[:20]!r} {digest[:130]!r}")
    return Checksum(algorithm=algorithm, digest=digest)


def size_of(text: str) -> int:
    """Bytes; empty is 0. Raises IndexDamaged."""
    if not re.fullmatch(r"[0-9]{0,12}", text) or int(text or 0) > _LARGEST:
        raise IndexDamaged(f"not a size in bytes: {text[:40]!r}")
    return int(text or 0)


def _record(kind: str, data: Element) -> Record:
    location = child(data, "location")
    return Record(
        kind=kind,
        href=location.get("href", ""),
        base=location.get(XML_BASE, ""),
        checksum=checksum_of(child(data, "checksum")),
        size=size_of(text_of(data, "size")),
        open_size=size_of(text_of(data, "open-size")),
    )


def _time(text: str) -> float:
    """Seconds since the epoch; 0 for what is none."""
    return float(text) if _SECONDS.fullmatch(text) else 0.0
