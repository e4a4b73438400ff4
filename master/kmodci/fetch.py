"""HTTP: reads a URL within limits, tries again what may pass, and says plainly what will not.

Content is never trusted here: whoever asks knows a signature or a hash to check it with.
"""

import copy
import hashlib
import os
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

import urllib3

from .asking import HINT, Asked, Asker, NotNow, Unchanged, Until
from .digests import checked
from .errors import FetchError

_ENDLESS = 1 << 62
# bytes, where nothing says how many there should be
_LARGEST = 1 << 30
_CHUNK = 256 * 1024
_LONGEST_WAIT = 30.0
# Bytes per second below which a server counts as one that hangs, if it goes on for the timeout (what dnf calls
# `minrate`, with the same default: dnf.conf(5)).
_SLOWEST = 1000
# what may pass: no connection, a broken one, silence
_PASSING = (
    urllib3.exceptions.TimeoutError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.ProxyError,
)


class Fetcher:
    """Keeps connections open between calls; may be used from several threads.

    timeout: seconds without any data from the server, or with next to none. retries: how often a fault that may
    pass (no connection, a broken one, 429, 5xx) is tried again. deadline: seconds for one URL, all tries included.
    backoff: seconds before the second try; twice that before the third, and so on.
    """

    def __init__(
        self, *, timeout: float = 30.0, retries: int = 3, deadline: float = 1800.0, backoff: float = 0.5
    ) -> None:
        self._timeout = timeout
        self._retries = retries
        self._deadline = deadline
        self._backoff = backoff
        self._end = float("inf")
        self._asker = Asker(timeout)
        self._validators: dict[str, tuple[str, dict[str, str]]] = {}

    def within(self, seconds: float) -> Self:
        """The same, for all that is asked of it within so many seconds from now."""
        bounded = copy.copy(self)
        bounded._end = min(self._end, time.monotonic() + seconds)
        return bounded

    def get(self, url: str, *, limit: int) -> bytes:
        """The whole content, at most `limit` bytes. Raises FetchError, Gone."""
        with self.stream(url, limit=limit) as chunks:
            return b"".join(chunks)

    def get_unless(self, url: str, *, sha256: str, limit: int) -> bytes | None:
        """The whole content, or None where the server knows that it still is what had this hash (hex).

        It knows while this object lives, and if it has validators at all; else the content comes once more.
        Raises FetchError, Gone.
        """
        known, validators = self._validators.get(url, ("", {}))
        asked = Asked(url, headers=validators if known == sha256 else {})
        try:
            content = b"".join(self._read(asked, limit))
        except Unchanged:
            return None
        self._validators[url] = (hashlib.sha256(content).hexdigest(), asked.validators)
        return content

    def post(self, url: str, body: bytes, *, kind: str, limit: int) -> bytes:
        """What a server answers to a call that changes nothing there. kind: the body's type (`text/xml`).

        Raises FetchError, Gone.
        """
        return b"".join(self._read(Asked(url, headers={"Content-Type": kind}, body=body), limit))

    @contextmanager
    def stream(self, url: str, *, limit: int) -> Iterator[Iterator[bytes]]:
        """The content in pieces, at most `limit` bytes of it. Reading raises FetchError, Gone."""
        with closing(self._read(Asked(url), limit)) as chunks:
            yield chunks

    def download(self, url: str, path: Path, *, size: int, sha256: str) -> None:
        """Puts the content at `path`, whole and checked, or leaves nothing behind.

        size: bytes; sha256: hex; 0 and empty where they are not known. Raises FetchError, Gone, and IndexDamaged if
        size or hash differ.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            limit = _ENDLESS if size else _LARGEST
            with os.fdopen(handle, "wb") as file, self.stream(url, limit=limit) as chunks:
                for chunk in checked(chunks, url=url, size=size, digest=sha256):
                    file.write(chunk)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)

    def _read(self, asked: Asked, limit: int) -> Generator[bytes, None, None]:
        """A connection that breaks midway is opened again, and what was already passed on is left out."""
        url, passed, tries = asked.url, 0, 0
        until = Until(url, min(self._end, time.monotonic() + self._deadline))
        while True:
            try:
                for chunk, position in self._body(asked, limit, until):
                    if position + len(chunk) > passed:
                        fresh = chunk[max(0, passed - position) :]
                        passed += len(fresh)
                        yield fresh
                return
            except (NotNow, *_PASSING) as fault:
                tries += 1
                wait = fault.wait if isinstance(fault, NotNow) else 0.0
                wait = min(wait or self._backoff * 2 ** (tries - 1), _LONGEST_WAIT)
                if tries > self._retries or wait > until.left():
                    why = f"broke off at {passed} bytes: {_brief(fault)}" if passed else _brief(fault)
                    raise FetchError(url, why, hint=HINT) from fault
                time.sleep(wait)
            except urllib3.exceptions.HTTPError as fault:
                raise FetchError(url, _brief(fault), hint=HINT) from fault

    def _body(self, asked: Asked, limit: int, until: Until) -> Generator[tuple[bytes, int], None, None]:
        """Pieces of one answer's body, each with its position."""
        url, position = asked.url, 0
        with closing(self._asker.open(asked, until)) as response:
            since, waited = 0, 0.0
            while True:
                until.left()
                before = time.monotonic()
                chunk = response.read1(_CHUNK, decode_content=False)
                if not chunk:
                    break
                # only the server's time counts: who reads may take as long as it likes over a piece
                waited += time.monotonic() - before
                if waited > self._timeout:
                    if position + len(chunk) - since < _SLOWEST * waited:
                        raise FetchError(url, f"less than {_SLOWEST} bytes per second in {waited:.0f} s", hint=HINT)
                    since, waited = position + len(chunk), 0.0
                if position + len(chunk) > limit:
                    raise FetchError(
                        url, f"is longer than the {limit} bytes expected", hint="something else is served there"
                    )
                yield chunk, position
                position += len(chunk)
            response.release_conn()


def _brief(fault: Exception) -> str:
    """The cause alone, without the objects that urllib3 puts around it."""
    if isinstance(fault, NotNow):
        return str(fault)
    reason = fault.reason if isinstance(fault, urllib3.exceptions.MaxRetryError) and fault.reason else fault
    text = str(reason.args[-1] if isinstance(reason, urllib3.exceptions.PoolError) and reason.args else reason)
    return f"{type(reason).__name__}: {text}"
