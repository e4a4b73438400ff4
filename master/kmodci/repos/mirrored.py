"""An rpm repository that is found through a list of mirrors, and how its packages are called.

What a list answers depends on who asks, on which mirrors are up, and on chance; so no mirror's URL can be the name of
a package: two looks at the same data would differ, and a mirror that goes away would take its packages along. A package
is called by the list instead, and by where it is below whichever mirror:

    https://mirrors.example.org/metalink?arch=x86_64#x86_64:Packages/k/kernel-devel-6.11.4-301.fc41.x86_64.rpm

(A client that knows nothing of this leaves out what is behind the `#` and gets the list, which has not the package's
hash.) The list is asked again when a package is downloaded, and then every mirror of that moment can be tried.
"""

import hashlib
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from kmodci.errors import IndexDamaged, KmodciError

from .base import Reads, Snapshot, Wanted
from .mirrorlists import LIST_LIMIT, Mirrors, parse_mirrors
from .rpm import RpmIndex

_TRIES = 8
"""how many mirrors are tried, at most: a list may have 200, and each may take its time to fail"""
_REPOMD = "repodata/repomd.xml"
_HINT = "the mirror lags behind or is damaged; as soon as one is up to date, it is read"


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredFile:
    """A file of a repository that is found through a list."""

    list: str
    """its URL"""
    basearch: str
    """what stands for `$basearch` in the list's answer"""
    path: str
    """below a mirror's base URL, or beside it on the same host: Amazon's begin with `../../../../blobstore`"""

    def __str__(self) -> str:
        return f"{self.list}#{self.basearch}:{self.path}"

    @classmethod
    def parse(cls, url: str) -> "MirroredFile | None":
        """None for any other URL."""
        place, _, rest = url.partition("#")
        basearch, sign, path = rest.partition(":")
        return cls(list=place, basearch=basearch, path=path) if sign else None

    @classmethod
    def of(cls, url: str, base: str, place: str, basearch: str) -> "MirroredFile":
        """How what a mirror has is called. url: on that mirror's host; base: of the mirror; place: the list."""
        path = posixpath.relpath(urlsplit(url).path, urlsplit(base).path or "/")
        return cls(list=place, basearch=basearch, path=path)

    def at(self, base: str) -> str:
        """Its URL at a mirror."""
        parts = urlsplit(base)
        # never above the root, nor on another host
        path = posixpath.normpath(f"{parts.path or '/'}/{self.path}").lstrip("/")
        return f"{parts.scheme}://{parts.netloc}/{path}"


def urls(url: str, fetcher: Reads) -> tuple[str, ...]:
    """Where a package is to be had now: its URL, or those at the mirrors that its list names, the preferred first.

    Raises FetchError, Gone, and IndexDamaged if what is at the list's URL is none.
    """
    file = MirroredFile.parse(url)
    if file is None:
        return (url,)
    return tuple(file.at(base) for base in _ask(file.list, file.basearch, fetcher).bases[:_TRIES])


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredIndex:
    """See `base.Index`; the `mirror` of `look` is the URL of a list.

    The first mirror that answers as it should is read. One that lags behind does not: a metalink tells which repomd.xml
    is the newest, a plain list does not, and then nothing older counts than what was seen last.
    """

    index: RpmIndex
    basearch: str
    """x86_64, aarch64"""
    is_metalink: bool

    def look(self, fetcher: Reads, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        """See `base.Index`."""
        mirrors = _ask(mirror, self.basearch, fetcher)
        if self.is_metalink and not mirrors.repomd_sha256:
            # taken for a list of mirrors, it would be believed without the hash
            raise IndexDamaged(f"{mirror}: a list of mirrors and no metalink", hint="say `mirrorlist:` in targets.yml")
        seen, _, known = known_digest.rpartition("-")
        first: KmodciError | None = None
        for base in mirrors.bases[:_TRIES]:
            try:
                pinned = _Pinned(fetcher, f"{base}/{_REPOMD}", mirrors.repomd_sha256)
                snapshot = self.index.look(pinned, base, wanted, known, now)
                return self._called(_not_older(snapshot, int(seen or 0), base), base, mirror)
            except KmodciError as fault:
                first = first or fault
        assert first is not None  # a list has a mirror
        raise first

    def _called(self, snapshot: Snapshot, base: str, place: str) -> Snapshot:
        """The same wherever it was read."""
        if snapshot.listed is None:
            return snapshot
        named = [(each, MirroredFile.of(each.url, base, place, self.basearch)) for each in snapshot.listed]
        return replace(snapshot, listed=tuple(replace(each, url=str(file)) for each, file in named), base=base)


def _not_older(snapshot: Snapshot, seen: int, base: str) -> Snapshot:
    """With its date in its digest, where the next look finds it. seen: the date of the last. Raises IndexDamaged."""
    dated = int(snapshot.dated.timestamp())
    if snapshot.listed is not None and dated < seen:
        raise IndexDamaged(f"{base}: it is of {snapshot.dated:%Y-%m-%d %H:%M} UTC, and was newer before", hint=_HINT)
    return replace(snapshot, digest=f"{max(dated, seen)}-{snapshot.digest}")


@dataclass(frozen=True, slots=True)
class _Pinned:
    """Believes only one repomd.xml: that which a metalink names."""

    fetcher: Reads
    url: str
    sha256: str
    """hex; empty where any will do"""

    def get(self, url: str, *, limit: int) -> bytes:
        content = self.fetcher.get(url, limit=limit)
        if url == self.url and self.sha256 and hashlib.sha256(content).hexdigest() != self.sha256:
            raise IndexDamaged(f"{url} is not the newest, which the metalink names", hint=_HINT)
        return content

    @contextmanager
    def stream(self, url: str, *, limit: int) -> Iterator[Iterator[bytes]]:
        assert url != self.url  # it is small, and asked for with `get`
        with self.fetcher.stream(url, limit=limit) as chunks:
            yield chunks


def _ask(place: str, basearch: str, fetcher: Reads) -> Mirrors:
    """What a list answers now."""
    content = fetcher.get(place, limit=LIST_LIMIT)
    try:
        return parse_mirrors(content, basearch)
    except IndexDamaged as fault:
        raise IndexDamaged(f"{place}: {fault.brief}", hint=fault.hint) from fault
