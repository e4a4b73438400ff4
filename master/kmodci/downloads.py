"""A header package, downloaded from whichever place has it."""

from pathlib import Path

from .errors import Gone, KmodciError
from .fetch import Fetcher
from .model import Package
from .repos.mirrored import urls


def download(package: Package, path: Path, fetcher: Fetcher) -> None:
    """Puts it at `path`, whole and as its index names it, or leaves nothing behind.

    Raises FetchError, IndexDamaged; Gone only if that is what every place says: one that did not answer may have it.
    """
    faults: list[KmodciError] = []
    for url in urls(package.url, fetcher):
        try:
            fetcher.download(url, path, size=package.size, sha256=package.sha256)
        except KmodciError as fault:
            faults.append(fault)
        else:
            return
    raise next((fault for fault in faults if not isinstance(fault, Gone)), faults[0])
