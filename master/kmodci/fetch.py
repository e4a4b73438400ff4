"""HTTP: reads a URL within limits, tries again what may pass, and says plainly what will not.

Content is never trusted here: whoever asks knows a signature or a hash to check it with.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.util.retry import Retry

from . import __version__
from .digests import checked
from .errors import FetchError, Gone

_ENDLESS = 1 << 62
# bytes, where nothing says how many there should be
_LARGEST = 1 << 30
_CHUNK = 256 * 1024
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_GONE = frozenset({404, 410})
_LONGEST_WAIT = 30
_IDLE = 8
_SETTLED = timedelta(seconds=2)
# A content encoding would change the bytes that a hash is about.
_HEADERS = {"User-Agent": f"kmodci/{__version__}", "Accept-Encoding": "identity"}
_HINT = "is the mirror reachable from here? http_proxy and https_proxy in the environment are honoured"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, and what the server says of the answer's version."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """of a POST"""
    validators: dict[str, str] = field(default_factory=dict)
    """header fields that ask for the content only if it is another (RFC 9110, section 13.1)"""


class _Unchanged(Exception):
    """The server answered that the content is what it was."""


class Fetcher:
    """Keeps connections open between calls; may be used from several threads.

    timeout: seconds without any data from the server. retries: how often a fault that may pass (no
    connection, a broken one, 429, 5xx) is tried again. deadline: seconds for one URL, all tries
    included, because a server that sends a byte now and then never runs into the timeout. backoff:
    seconds before the second try; twice that before the third, and so on.
    """

    def __init__(
        self, *, timeout: float = 30.0, retries: int = 3, deadline: float = 1800.0, backoff: float = 0.5
    ) -> None:
        self._retries = retries
        self._deadline = deadline
        self._backoff = backoff
        self._timeout = urllib3.Timeout(connect=min(timeout, 10.0), read=timeout)
        self._retry = Retry(
            total=None,
            connect=retries,
            read=retries,
            status=retries,
            other=0,
            redirect=5,
            status_forcelist=_TRANSIENT,
            backoff_factor=backoff,
            backoff_max=_LONGEST_WAIT,
            retry_after_max=_LONGEST_WAIT,
            raise_on_status=False,
        )
        # a call that only asks may be made again; and one that is sent elsewhere would come as a GET there
        self._retry_post = self._retry.new(allowed_methods=None, redirect=False)
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._validators: dict[str, tuple[str, dict[str, str]]] = {}

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
        asked = _Asked(url, headers=validators if known == sha256 else {})
        try:
            content = b"".join(self._read(asked, limit))
        except _Unchanged:
            return None
        self._validators[url] = (hashlib.sha256(content).hexdigest(), asked.validators)
        return content

    def post(self, url: str, body: bytes, *, kind: str, limit: int) -> bytes:
        """What a server answers to a call that changes nothing there. kind: the body's type (`text/xml`).

        Raises FetchError, Gone.
        """
        return b"".join(self._read(_Asked(url, headers={"Content-Type": kind}, body=body), limit))

    @contextmanager
    def stream(self, url: str, *, limit: int) -> Iterator[Iterator[bytes]]:
        """The content in pieces, at most `limit` bytes of it. Reading raises FetchError, Gone."""
        with closing(self._read(_Asked(url), limit)) as chunks:
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

    def _read(self, asked: _Asked, limit: int) -> Generator[bytes, None, None]:
        """A connection that breaks midway is opened again, and what was already passed on is left out."""
        passed, broken, end = 0, 0, time.monotonic() + self._deadline
        while True:
            try:
                for chunk, position in self._body(asked, limit):
                    if time.monotonic() > end:
                        raise FetchError(asked.url, f"not read within {self._deadline:.0f} seconds", hint=_HINT)
                    if position + len(chunk) > passed:
                        fresh = chunk[max(0, passed - position) :]
                        passed += len(fresh)
                        yield fresh
                return
            except urllib3.exceptions.HTTPError as fault:
                broken += 1
                if broken > self._retries:
                    raise FetchError(asked.url, f"broke off at {passed} bytes: {_brief(fault)}", hint=_HINT) from fault
                time.sleep(self._backoff * broken)

    def _body(self, asked: _Asked, limit: int) -> Generator[tuple[bytes, int], None, None]:
        """Pieces of one answer's body, each with its position."""
        position = 0
        with closing(self._open(asked)) as response:
            while chunk := response.read1(_CHUNK, decode_content=False):
                if position + len(chunk) > limit:
                    raise FetchError(
                        asked.url, f"is longer than the {limit} bytes expected", hint="something else is served there"
                    )
                yield chunk, position
                position += len(chunk)
            response.release_conn()

    def _open(self, asked: _Asked) -> urllib3.BaseHTTPResponse:
        try:
            response = self._pool(asked.url).urlopen(
                "GET" if asked.body is None else "POST",
                asked.url,
                headers={**_HEADERS, **asked.headers},
                body=asked.body,
                preload_content=False,
                retries=self._retry if asked.body is None else self._retry_post,
                timeout=self._timeout,
            )
        except urllib3.exceptions.HTTPError as fault:
            raise FetchError(asked.url, _brief(fault), hint=_HINT) from fault
        if response.status == 200:
            asked.validators.update(_validators(response.headers))
            return response
        response.close()
        if response.status == 304 and asked.body is None and asked.headers:
            raise _Unchanged
        why = f"the server answered {response.status} {response.reason or ''}".rstrip()
        if response.status in _GONE:
            raise Gone(asked.url, why, hint="the mirror does not have it, or no longer; another one may")
        raise FetchError(asked.url, why, hint=_HINT)

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Direct, or through the proxy that the environment names for this URL."""
        parts = urlsplit(url)
        proxy = getproxies().get(parts.scheme, "")
        if proxy and proxy_bypass(parts.hostname or ""):
            proxy = ""
        if proxy not in self._pools:
            self._pools[proxy] = (
                urllib3.ProxyManager(proxy, maxsize=_IDLE) if proxy else urllib3.PoolManager(maxsize=_IDLE)
            )
        return self._pools[proxy]


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    """Header fields that ask for the same content again only if it is another.

    A date counts only where nothing can have changed since within the same second (RFC 9110, section 8.8.2.2).
    """
    if "ETag" in headers:
        return {"If-None-Match": headers["ETag"]}
    try:
        changed, sent = (parsedate_to_datetime(headers[name]) for name in ("Last-Modified", "Date"))
        return {"If-Modified-Since": headers["Last-Modified"]} if sent - changed >= _SETTLED else {}
    except (KeyError, ValueError, TypeError):
        return {}


def _brief(fault: urllib3.exceptions.HTTPError) -> str:
    """The cause alone, without the objects that urllib3 puts around it."""
    reason = fault.reason if isinstance(fault, urllib3.exceptions.MaxRetryError) and fault.reason else fault
    text = str(reason.args[-1] if isinstance(reason, urllib3.exceptions.PoolError) and reason.args else reason)
    return f"{type(reason).__name__}: {text}"
