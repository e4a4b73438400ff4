"""What lies on this disk because it is needed again, and can be had again: kept within a limit."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from .paths import Paths
from .retention import CachedFile, overflow

CACHES = ("headers", "layers", "pieces", "sources", "tarballs")
# files of a cache that builds may be about to use; a source is used once, and lies among the inputs meanwhile
_SPARE = {"layers": 8, "tarballs": 8}


@dataclass(slots=True)
class Caches:
    """Folders of files, by kind: one of CACHES."""

    paths: Paths
    limit: int
    """bytes, of each"""
    pruning: threading.Lock = field(default_factory=threading.Lock)
    """one prunes at a time"""

    def surplus(self, kind: str) -> Sequence[CachedFile]:
        """What of a cache is more than its limit."""
        # what is being written ends otherwise
        whole = (path for path in self.paths.cache(kind).iterdir() if path.suffix in (".zst", ".tar"))
        files = [(path.name, path.stat()) for path in whole]
        known = (CachedFile(name=name, size=stat.st_size, used=stat.st_mtime) for name, stat in files)
        return overflow(known, self.limit, spare=_SPARE.get(kind, 64))

    def prune(self, kind: str) -> None:
        """Brings a cache back to its limit."""
        with self.pruning:
            for file in self.surplus(kind):
                (self.paths.cache(kind) / file.name).unlink(missing_ok=True)
