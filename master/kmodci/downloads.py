"""Files that a hash names, from whichever of several mirrors has them."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from .errors import FetchError, Gone, IndexDamaged
from .fallover import FallOver
from .fetch import Fetcher

T = TypeVar("T")


class Downloads:
    """May be used from several threads."""

    def __init__(self, fetcher: Fetcher, fallover: FallOver) -> None:
        self._fetcher = fetcher
        self._fallover = fallover

    def download(self, url: str, path: Path, *, size: int, sha256: str) -> None:
        """As `Fetcher.download`; Gone if no mirror has it."""
        self._first(url, lambda each: self._fetcher.download(each, path, size=size, sha256=sha256))

    def get(self, url: str, *, limit: int, sha256: str = "") -> bytes:
        """As `Fetcher.get`, and IndexDamaged for another content than the hash names (hex; none: any will do)."""

        def read(each: str) -> bytes:
            content = self._fetcher.get(each, limit=limit)
            if sha256 and hashlib.sha256(content).hexdigest() != sha256:
                raise IndexDamaged(f"{each}: not what the index names: {len(content)} bytes of another SHA256")
            return content

        return self._first(url, read)

    def _first(self, url: str, read: Callable[[str], T]) -> T:
        """Raises what went wrong at the first mirror; that a file is gone only if all of them say so."""
        faults: list[FetchError | IndexDamaged] = []
        for each in self._fallover.urls(url):
            try:
                return read(each)
            except (FetchError, IndexDamaged) as fault:
                faults.append(fault)
                mirror = self._fallover.mirror_of(each)
                if mirror and isinstance(fault, FetchError) and not isinstance(fault, Gone):
                    self._fallover.failed(mirror, fault.brief)
        raise next((fault for fault in faults if not isinstance(fault, Gone)), faults[0])
