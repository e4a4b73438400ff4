"""One question to a farm's HTTP API: sent, asked again while that may help, and its answer as it came.

What may pass (no connection, 429, 502 to 504) is asked again, for a while. No redirect is followed: a token would go
with it.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from urllib.parse import urlencode

import urllib3

from . import __version__
from .apiserver import Server
from .errors import FarmAway
from .pools import Pools
from .refusals import Answered, refusal

PATIENCE = 60.0
"""seconds for which a farm that is away is asked again"""
LARGEST = 64 << 20
"""bytes; the builds of a matrix of a hundred thousand"""
_CONNECT = 10.0
# seconds, for a farm that has not answered at all yet
_FIRST = 5.0
_BODY_SECONDS = 120.0
_BACKOFF, _LONGEST_WAIT, _WORTH_TELLING = 0.5, 30.0, 2.0
_CHUNK = 64 << 10
_HEADERS = {"User-Agent": f"kmodci/{__version__}", "Accept": "application/json", "Accept-Encoding": "identity"}
_PASSING_STATUS = frozenset({429, 502, 503, 504})
# no connection was made, so nothing was asked yet
_NOT_ASKED = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
_PASSING = (
    *_NOT_ASKED,
    urllib3.exceptions.TimeoutError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.ProxyError,
)


class Calls:
    """Keeps connections open between questions.

    token: empty for none; patience: seconds for which a farm that is away is asked again; timeout: seconds of silence;
    say: is told where it waits.
    """

    def __init__(
        self, server: Server, *, token: str, patience: float, timeout: float, say: Callable[[str], None]
    ) -> None:
        self.server = server
        self.patience = patience
        self._token = token
        self._say = say
        self._timeout = urllib3.Timeout(connect=min(timeout, _CONNECT), read=timeout)
        self._pools = Pools()
        self._has_answered = False

    def ask(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, object] | None = None,
        settled: frozenset[int] = frozenset(),
        once: bool = False,
        limit: int = 0,
        kind: str = "application/json",
    ) -> Answered:
        """Raises FarmAway, Refused, NotFound.

        settled: statuses that are answers too; once: not again where it may have been heard; limit: bytes of
        the answer; kind: its type.
        """
        url = f"{self.server.api}{path}{'?' + urlencode(query) if query else ''}"
        began, tries = time.monotonic(), 0
        end = began + self.patience
        while True:
            wait = 0.0
            try:
                answered = self._once(url, body, limit or LARGEST)
                self._has_answered = True
                if answered.status in settled and answered.is_ours:
                    return answered
                fault = refusal(answered, server=self.server, kind=kind, has_token=bool(self._token))
                if fault is None:
                    return answered
                # a proxy may say 502 or 504 after the farm has heard it
                if answered.status not in _PASSING_STATUS or (once and not answered.is_ours):
                    raise fault
                wait = answered.retry_after
            except urllib3.exceptions.SSLError as error:
                hint = "is it the right host? SSL_CERT_FILE names a file with the authorities to trust"
                raise FarmAway(f"{url}: no secure connection: {_brief(error)}", hint=hint) from error
            except _PASSING as error:
                fault = _away(self.server, error)
                if not self._has_answered:
                    # a wrong address, more likely than a farm that is being started again
                    end = min(end, began + _FIRST)
                if once and not isinstance(error, _NOT_ASKED):
                    raise fault from error
            except urllib3.exceptions.HTTPError as error:
                raise _away(self.server, error) from error
            tries += 1
            wait = max(wait, min(_BACKOFF * 2 ** (tries - 1), _LONGEST_WAIT))
            if time.monotonic() + wait > end:
                raise fault
            if wait >= _WORTH_TELLING:
                self._say(f"{fault.brief}; asked again in {wait:.0f} s")
            time.sleep(wait)

    def _once(self, url: str, body: Mapping[str, object] | None, limit: int) -> Answered:
        headers = dict(_HEADERS)
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        response = self._pools.of(url, direct=self.server.is_loopback).urlopen(
            "GET" if body is None else "POST",
            url,
            headers=headers,
            body=None if body is None else json.dumps(body).encode(),
            preload_content=False,
            retries=False,
            redirect=False,
            timeout=self._timeout,
        )
        with closing(response):
            data = _body(response, url, limit)
            response.release_conn()
        return Answered(url=url, status=response.status, headers=response.headers, body=data)


def _body(response: urllib3.BaseHTTPResponse, url: str, limit: int) -> bytes:
    """All of it. Raises FarmAway where it is too long, or takes too long."""
    end, found = time.monotonic() + _BODY_SECONDS, bytearray()
    while chunk := response.read1(_CHUNK, decode_content=False):
        found += chunk
        if len(found) > limit:
            raise FarmAway(f"{url}: the answer is longer than {limit} bytes", hint="is that a farm's address?")
        if time.monotonic() > end:
            raise FarmAway(f"{url}: the answer did not come within {_BODY_SECONDS:.0f} s")
    return bytes(found)


def _away(server: Server, error: Exception) -> FarmAway:
    hint = "is that the address, and does the farm run? `kmodci up` starts one; http_proxy and no_proxy are honoured"
    return FarmAway(f"the farm at {server.url} does not answer: {_brief(error)}", hint=hint)


def _brief(error: Exception) -> str:
    """The cause alone, without the objects that urllib3 puts around it."""
    text = str(error.args[-1] if error.args else error)
    return text.rpartition(": ")[2] if isinstance(error, _NOT_ASKED) else text
