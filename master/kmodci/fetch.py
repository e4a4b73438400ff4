"""HTTP: reads a URL within limits, tries again what may pass, and says plainly what will not.

Content is never trusted here: whoever asks knows a signature or a hash to check it with.
"""

import copy
import os
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from . import __version__
from .connection import pool_manager
from .digests import checked
from .errors import FetchError, Gone

_ENDLESS = 1 << 62
_CHUNK = 256 * 1024
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_MOST_REDIRECTS = 5
_LONGEST_WAIT = 30.0
# Bytes per second below which a server counts as one that hangs, if it goes on for the timeout (what dnf calls
# `minrate`, with the same default: dnf.conf(5)).
_SLOWEST = 1000
# A content encoding would change the bytes that a hash is about.
_HEADERS = {"User-Agent": f"kmodci/{__version__}", "Accept-Encoding": "identity"}
_NONE = "?"
_HINT = "is the mirror reachable from here? http_proxy and https_proxy in the environment are honoured"
# what may pass: no connection, a broken one, silence
_PASSING = (
    urllib3.exceptions.TimeoutError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.ProxyError,
)


class _NotNow(Exception):
    """The server answered, and may answer better soon. wait: seconds, as the server says; 0 if it does not."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


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
        self._pools: dict[str, urllib3.PoolManager] = {}

    def within(self, seconds: float) -> Self:
        """The same, for all that is asked of it within so many seconds from now."""
        bounded = copy.copy(self)
        bounded._end = min(self._end, time.monotonic() + seconds)
        return bounded

    def get(self, url: str, *, limit: int) -> bytes:
        """The whole content, at most `limit` bytes. Raises FetchError, Gone."""
        with self.stream(url, limit=limit) as chunks:
            return b"".join(chunks)

    @contextmanager
    def stream(self, url: str, *, limit: int) -> Iterator[Iterator[bytes]]:
        """The content in pieces, at most `limit` bytes of it. Reading raises FetchError, Gone."""
        with closing(self._read(url, limit)) as chunks:
            yield chunks

    def download(self, url: str, path: Path, *, size: int, sha256: str) -> None:
        """Puts the content at `path`, whole and checked, or leaves nothing behind.

        size: bytes; sha256: hex. Raises FetchError, Gone, and IndexDamaged if size or hash differ.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file, self.stream(url, limit=_ENDLESS) as chunks:
                for chunk in checked(chunks, url=url, size=size, sha256=sha256):
                    file.write(chunk)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)

    def _read(self, url: str, limit: int) -> Generator[bytes, None, None]:
        """A connection that breaks midway is opened again, and what was already passed on is left out."""
        passed, tries, until = 0, 0, _Until(url, min(self._end, time.monotonic() + self._deadline))
        while True:
            try:
                for chunk, position in self._body(url, limit, until):
                    if position + len(chunk) > passed:
                        fresh = chunk[max(0, passed - position) :]
                        passed += len(fresh)
                        yield fresh
                return
            except (_NotNow, *_PASSING) as fault:
                tries += 1
                wait = fault.wait if isinstance(fault, _NotNow) else 0.0
                wait = min(wait or self._backoff * 2 ** (tries - 1), _LONGEST_WAIT)
                if tries > self._retries or wait > until.left():
                    why = f"broke off at {passed} bytes: {_brief(fault)}" if passed else _brief(fault)
                    raise FetchError(url, why, hint=_HINT) from fault
                time.sleep(wait)
            except urllib3.exceptions.HTTPError as fault:
                raise FetchError(url, _brief(fault), hint=_HINT) from fault

    def _body(self, url: str, limit: int, until: "_Until") -> Generator[tuple[bytes, int], None, None]:
        """Pieces of one answer's body, each with its position."""
        position = 0
        with closing(self._open(url, until)) as response:
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
                        raise FetchError(url, f"less than {_SLOWEST} bytes per second in {waited:.0f} s", hint=_HINT)
                    since, waited = position + len(chunk), 0.0
                if position + len(chunk) > limit:
                    raise FetchError(
                        url, f"is longer than the {limit} bytes expected", hint="something else is served there"
                    )
                yield chunk, position
                position += len(chunk)
            response.release_conn()

    def _open(self, url: str, until: "_Until") -> urllib3.BaseHTTPResponse:
        """The answer to a URL, or to where it leads. Raises FetchError, Gone, _NotNow, urllib3's."""
        at = url
        for _ in range(_MOST_REDIRECTS + 1):
            if _scheme(at) not in ("http", "https"):
                # neither a redirect nor a proxy opens another way into this machine, or out of it
                raise FetchError(url, f"leads to {at[:200]!r}, which is not HTTP" if at != url else "is not HTTP")
            seconds = min(self._timeout, until.left())
            timeout = urllib3.Timeout(connect=min(seconds, 10.0), read=seconds)
            response = self._pool(at).urlopen(
                "GET", at, headers=_HEADERS, preload_content=False, retries=False, redirect=False, timeout=timeout
            )
            if response.status == 200:
                return response
            response.close()
            goal = response.headers.get("Location", "")
            if response.status not in _REDIRECT or not goal:
                raise _refusal(url, response)
            at = urljoin(at, goal) if _scheme(goal) != _NONE else goal
        raise FetchError(url, f"more than {_MOST_REDIRECTS} redirects, the last one to {at[:200]!r}", hint=_HINT)

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Direct, or through the proxy that the environment names for this URL."""
        parts = urlsplit(url)
        proxy = getproxies().get(parts.scheme, "")
        if proxy and proxy_bypass(parts.hostname or ""):
            proxy = ""
        if proxy not in self._pools:
            self._pools[proxy] = pool_manager(proxy)
        return self._pools[proxy]


class _Until:
    """The time that is left for a URL."""

    def __init__(self, url: str, end: float) -> None:
        self._url, self._end = url, end
        self._seconds = end - time.monotonic()

    def left(self) -> float:
        """Seconds, always some. Raises FetchError if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise FetchError(self._url, f"not read within {max(0.0, self._seconds):.0f} seconds", hint=_HINT)
        return left


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:  # an address with a bracket missing
        return _NONE


def _refusal(url: str, response: urllib3.BaseHTTPResponse) -> FetchError | _NotNow:
    why = f"the server answered {response.status} {response.reason or ''}".rstrip()
    if response.status in _GONE:
        return Gone(url, why, hint="the mirror does not have it, or no longer; another one may")
    if response.status in _TRANSIENT:
        wait = response.headers.get("Retry-After", "")
        return _NotNow(why, float(wait[:6]) if wait.isascii() and wait.isdigit() else 0.0)
    return FetchError(url, why, hint=_HINT)


def _brief(fault: Exception) -> str:
    """The cause alone, without the objects that urllib3 puts around it."""
    if isinstance(fault, _NotNow):
        return str(fault)
    reason = fault.reason if isinstance(fault, urllib3.exceptions.MaxRetryError) and fault.reason else fault
    text = str(reason.args[-1] if isinstance(reason, urllib3.exceptions.PoolError) and reason.args else reason)
    return f"{type(reason).__name__}: {text}"
