"""The sources: each as the store knows it, and its mirrors asked now, but for what takes a large index to be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from kmodci.discovery import Repository, look
from kmodci.fetch import Fetcher
from kmodci.findings import Finding, good, note, wrong
from kmodci.health import POLLS
from kmodci.quantities import age_text
from kmodci.sourceview import Health, SourceView
from kmodci.store import RepositoryState

_SMALL = 32 << 20
"""bytes: signed release files are read whole, to check their signature and their date"""


class _Enough(Exception):
    """The mirror answers, and all that can be checked without a large index is right."""


@dataclass(slots=True)
class _Peek:
    """Reads small files, and the beginning of large ones."""

    fetcher: Fetcher
    asked: bool = False

    def within(self, seconds: float) -> "_Peek":
        return _Peek(self.fetcher.within(seconds))

    def get(self, url: str, *, limit: int) -> bytes:
        if limit > _SMALL:
            self._begin(url)
        self.asked = True
        return self.fetcher.get(url, limit=limit)

    def get_unless(self, url: str, *, sha256: str, limit: int) -> bytes | None:
        self._begin(url)
        raise _Enough

    def post(self, url: str, body: bytes, *, kind: str, limit: int) -> bytes:
        if self.asked:
            raise _Enough
        self.asked = True
        return self.fetcher.post(url, body, kind=kind, limit=limit)

    @contextmanager
    def stream(self, url: str, *, limit: int) -> Iterator[Iterator[bytes]]:
        if not self.asked:
            self._begin(url)
        raise _Enough
        yield  # what makes it a generator

    def _begin(self, url: str) -> None:
        with self.fetcher.stream(url, limit=1 << 40) as chunks:
            next(chunks, b"")
        raise _Enough


def of_mirror(
    repository: Repository, mirror: str, state: RepositoryState, packages: frozenset[str]
) -> Iterator[Finding]:
    """It answers with what it should, signed and not expired. Raises FetchError, IndexDamaged.

    state: of the farm's last look; packages: as the farm asks for.
    """
    alone, peek = replace(repository, mirrors=(mirror,)), _Peek(Fetcher(timeout=8.0, retries=1))
    now = datetime.now(UTC)
    dated = datetime.fromtimestamp(state.dated, UTC) if state.dated else None
    try:
        found = look(alone, peek, known_digest=state.digest, known_date=dated, packages=packages, now=now)
    except _Enough:
        yield good(f"{mirror} answers as it should")
    else:
        yield good(f"{mirror} answers; its index is {age_text(now.timestamp() - found.dated.timestamp())} old")


def of_source(seen: SourceView, interval: float, now: float) -> Finding:
    """As the store knows it. interval: of the polls, seconds."""
    age = now - seen.state.last_ok
    match seen.health:
        case Health.DOUBTED:
            return wrong(f"in doubt: {seen.fault}", f"kmodci accept '{seen.name}', or wait for the next looks")
        case Health.FAILING:
            read = f"it was read {age_text(age)} ago" if seen.state.last_ok else "it was never read"
            return wrong(f"{read}, and fails since: {seen.fault}", seen.state.hint)
        case Health.UNREAD:
            return note("the farm has not looked at it yet")
        case Health.IDLE:
            return good(seen.idle)
    if age > POLLS * interval:
        return note(f"was read {age_text(age)} ago", "a farm that runs looks every " + age_text(interval))
    lags = [fault for fault in seen.state.mirror_faults if fault]
    if lags:
        return note(f"read {age_text(age)} ago, though not from every mirror: {lags[0]}")
    return good(
        f"read {age_text(age)} ago: {seen.listed} kernels" if not seen.is_module else f"read {age_text(age)} ago"
    )
