"""Packages, downloaded from whichever place has them: the mirrors that serve the same, those that a list names."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from .errors import FetchError, Gone, IndexDamaged, KmodciError
from .fallover import FallOver
from .fetch import Fetcher
from .model import Package
from .repos.mirrored import urls

T = TypeVar("T")


class Downloads:
    """May be used from several threads.

    Everything raises FetchError and IndexDamaged, as the first place does; Gone only if that is what every place says:
    one that did not answer may have it.
    """

    def __init__(self, fetcher: Fetcher, fallover: FallOver) -> None:
        self._fetcher = fetcher
        self._fallover = fallover

    def package(self, package: Package, path: Path) -> None:
        """Puts it at `path`, whole and as its index names it, or leaves nothing behind."""
        self._first(
            package.url, lambda url: self._fetcher.download(url, path, size=package.size, sha256=package.sha256)
        )

    def get(self, url: str, *, limit: int, sha256: str = "") -> bytes:
        """The whole content, at most `limit` bytes. sha256: hex; where none is said, any content will do."""

        def read(each: str) -> bytes:
            content = self._fetcher.get(each, limit=limit)
            if sha256 and hashlib.sha256(content).hexdigest() != sha256:
                raise IndexDamaged(f"{each}: not what the index names: {len(content)} bytes of another SHA256")
            return content

        return self._first(url, read)

    def _first(self, url: str, read: Callable[[str], T]) -> T:
        faults: list[KmodciError] = []
        for place in self._fallover.urls(url):
            try:
                for each in urls(place, self._fetcher):
                    try:
                        return read(each)
                    except KmodciError as fault:
                        self._note(each, fault)
                        faults.append(fault)
            except KmodciError as fault:  # of the list
                faults.append(fault)
        raise next((fault for fault in faults if not isinstance(fault, Gone)), faults[0])

    def _note(self, url: str, fault: KmodciError) -> None:
        """A mirror that does not answer is asked last from now on; one that lacks a file, or has another, is not."""
        mirror = self._fallover.mirror_of(url)
        if mirror and isinstance(fault, FetchError) and not isinstance(fault, Gone):
            self._fallover.failed(mirror, fault.brief)
