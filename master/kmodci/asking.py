"""One request over HTTP, as far as the head of its answer: redirects, proxies, refusals. `fetch` reads the rest."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import urllib3

from . import __version__
from .errors import FetchError, Gone
from .pools import Pools

HINT = "is the mirror reachable from here? http_proxy and https_proxy in the environment are honoured"
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_MOST_REDIRECTS = 5
_SETTLED = timedelta(seconds=2)
# A content encoding would change the bytes that a hash is about.
_HEADERS = {"User-Agent": f"kmodci/{__version__}", "Accept-Encoding": "identity"}
_NONE = "?"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, and what the server says of the answer's version."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """of a POST"""
    validators: dict[str, str] = field(default_factory=dict)
    """header fields that ask for the content only if it is another (RFC 9110, section 13.1)"""


class Unchanged(Exception):
    """The server answered that the content is what it was."""


class NotNow(Exception):
    """The server answered, and may answer better soon. wait: seconds, as the server says; 0 if it does not."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class Until:
    """The time that is left for a URL. end: by the monotonic clock."""

    def __init__(self, url: str, end: float) -> None:
        self._url, self._end = url, end
        self._seconds = end - time.monotonic()

    def left(self) -> float:
        """Seconds, always some. Raises FetchError if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise FetchError(self._url, f"not read within {max(0.0, self._seconds):.0f} seconds", hint=HINT)
        return left


class Asker:
    """Keeps connections open between requests; may be used from several threads. timeout: seconds of silence."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._pools = Pools()

    def open(self, asked: Asked, until: Until) -> urllib3.BaseHTTPResponse:
        """The answer of a URL, or of where it leads. Raises FetchError, Gone, Unchanged, NotNow, urllib3's HTTPError.

        A call that is posted is not sent elsewhere: it would come as a GET there.
        """
        url = at = asked.url
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._ask(at, asked, until)
            if response.status == 200:
                asked.validators.update(_validators(response.headers))
                return response
            response.close()
            if response.status == 304 and asked.body is None and asked.headers:
                raise Unchanged
            goal = response.headers.get("Location", "")
            if response.status not in _REDIRECT or asked.body is not None or not goal:
                raise _refusal(url, response)
            at = urljoin(at, goal) if _scheme(goal) != _NONE else goal
            if _scheme(at) not in ("http", "https"):
                # neither a redirect nor a proxy opens another way into this machine, or out of it
                raise FetchError(url, f"leads to {at[:200]!r}, which is not HTTP", hint="name another mirror")
        raise FetchError(url, f"more than {_MOST_REDIRECTS} redirects, the last one to {at[:200]!r}", hint=HINT)

    def _ask(self, url: str, asked: Asked, until: Until) -> urllib3.BaseHTTPResponse:
        if _scheme(url) not in ("http", "https"):
            raise FetchError(url, "is not HTTP")
        seconds = min(self._timeout, until.left())
        return self._pools.of(url).urlopen(
            "GET" if asked.body is None else "POST",
            url,
            headers={**_HEADERS, **asked.headers},
            body=asked.body,
            preload_content=False,
            retries=False,
            redirect=False,
            timeout=urllib3.Timeout(connect=min(seconds, 10.0), read=seconds),
        )


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:  # an address with a bracket missing
        return _NONE


def _refusal(url: str, response: urllib3.BaseHTTPResponse) -> FetchError | NotNow:
    why = f"the server answered {response.status} {response.reason or ''}".rstrip()
    if response.status in _GONE:
        return Gone(url, why, hint="the mirror does not have it, or no longer; another one may")
    if response.status in _TRANSIENT:
        wait = response.headers.get("Retry-After", "")
        return NotNow(why, float(wait[:6]) if wait.isascii() and wait.isdigit() else 0.0)
    return FetchError(url, why, hint=HINT)


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
