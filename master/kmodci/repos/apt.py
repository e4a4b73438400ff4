"""An apt repository: components of a suite on a mirror (https://wiki.debian.org/DebianRepository/Format).

The signed release file is the change detector: as long as the hashes in it that matter are the same, nothing else
is downloaded.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kmodci.digests import checked
from kmodci.errors import Gone, IndexDamaged

from .base import Fetches, Scan, Snapshot, Wanted
from .compressed import SUFFIXES, decompressed
from .signature import verified_release
from .stanzas import IndexFile, Release, parse_release, scan_packages

_RELEASE_LIMIT = 16 * 1024 * 1024
_INDEX_LIMIT = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class AptIndex:
    """See `base.Index`."""

    suite: str
    components: tuple[str, ...] = ("main",)
    keyrings: tuple[Path, ...]
    check_valid_until: bool = True

    def look(self, fetcher: Fetches, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        """See `base.Index`; also raises IndexDamaged for another suite and for an expired index."""
        signed = fetcher.get(f"{self._folder(mirror)}/InRelease", limit=_RELEASE_LIMIT)
        release = parse_release(verified_release(signed, self.keyrings))
        self._check(release, now)
        bases = [f"{part}/binary-{arch}/Packages" for part in self.components for arch in wanted.arches]
        digest = _digest(release, bases)
        if digest == known_digest:
            return Snapshot(digest=digest, dated=release.date, listed=None)
        scans = [self._scan(fetcher, mirror, release, base, wanted) for base in bases]
        return Snapshot(
            digest=digest,
            dated=release.date,
            listed=tuple(package for scan in scans for package in scan.listed),
            problems=tuple(dict.fromkeys(problem for scan in scans for problem in scan.problems)),
        )

    def _check(self, release: Release, now: datetime) -> None:
        """A genuine release file of another suite, or of long ago, must not pass for this one."""
        # Ubuntu's noble-updates has noble for its codename, and is not to be taken for it
        is_pocket = release.suite.startswith(f"{release.codename}-")
        if self.suite not in ({release.suite} if is_pocket else {release.suite, release.codename}):
            told = release.suite if is_pocket else release.codename or release.suite
            raise IndexDamaged(
                f"the mirror answers with the suite {told!r}, not {self.suite!r}",
                hint="correct `suite:` in targets.yml, or name another mirror",
            )
        if self.check_valid_until and release.valid_until and now > release.valid_until:
            raise IndexDamaged(
                f"the index expired on {release.valid_until:%Y-%m-%d %H:%M} UTC (Valid-Until)",
                hint="the mirror lags: name another, or set `check_valid_until: false` with a `reason:` in targets.yml",
            )

    def _scan(self, fetcher: Fetches, mirror: str, release: Release, base: str, wanted: Wanted) -> Scan:
        """The index as the mirror has it: not all that a release file lists is there, the uncompressed one rarely."""
        whole = release.files.get(base)
        limit = min(whole.size, _INDEX_LIMIT) if whole else _INDEX_LIMIT
        gone: Gone | None = None
        for path, file in _offers(release, base):
            for url in self._urls(mirror, release, path, file):
                try:
                    with fetcher.stream(url, limit=_INDEX_LIMIT) as chunks:
                        sound = checked(chunks, url=url, size=file.size, digest=file.sha256)
                        text = decompressed(sound, path.removeprefix(base), limit=limit)
                        return scan_packages(text, mirror=mirror, prefixes=wanted.prefixes, names=wanted.names)
                except Gone as fault:
                    gone = gone or fault
        raise gone or IndexDamaged(f"{base} is not offered")

    def _urls(self, mirror: str, release: Release, path: str, file: IndexFile) -> Iterator[str]:
        """By hash first: what is there cannot change while the mirror is being updated."""
        if release.by_hash:
            yield f"{self._folder(mirror)}/{path.rpartition('/')[0]}/by-hash/SHA256/{file.sha256}"
        yield f"{self._folder(mirror)}/{path}"

    def _folder(self, mirror: str) -> str:
        return f"{mirror.rstrip('/')}/dists/{self.suite}"


def _digest(release: Release, bases: Iterable[str]) -> str:
    """A release file is dated anew several times a day; what is not about the indices in use is left out."""
    indices = [f"{file.sha256} {path}" for base in bases for path, file in _offers(release, base)]
    return hashlib.sha256("\n".join(indices).encode()).hexdigest()


def _offers(release: Release, base: str) -> list[tuple[str, IndexFile]]:
    """How an index is offered, the cheapest to read first."""
    offers = [(base + suffix, release.files[base + suffix]) for suffix in SUFFIXES if base + suffix in release.files]
    if not offers:
        raise IndexDamaged(
            f"the release file does not list {base}", hint="correct `component:` or `arches:` in targets.yml"
        )
    if too_large := [f"{path}: {file.size} bytes" for path, file in offers if file.size > _INDEX_LIMIT]:
        raise IndexDamaged(
            f"an index is larger than any that is known: {', '.join(too_large)}",
            hint=f"at most {_INDEX_LIMIT >> 20} MiB are read; is something else served there?",
        )
    return offers
