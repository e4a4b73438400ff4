"""A farm that runs, asked over its HTTP API: typed questions, typed answers, and errors that say what to do next.

Every question may be asked again, so what may pass (no connection, 429, 502 to 504) is, for a while. No redirect is
followed: a token would go with it.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlencode

import urllib3
from pydantic import BaseModel, ValidationError

from . import __version__
from .apiserver import Server
from .errors import FarmAway, KmodciError, NotFound
from .pools import Pools
from .refusals import Answered, refusal
from .told import BuildTold, KernelTold, RunTold, RunWholeTold, SourceTold, StandingTold

PATIENCE = 60.0
"""seconds for which a farm that is away is asked again"""
_CONNECT = 10.0
# seconds, for a farm that has not answered at all yet
_FIRST = 5.0
_BODY_SECONDS = 120.0
_BACKOFF, _LONGEST_WAIT, _WORTH_TELLING = 0.5, 30.0, 2.0
# bytes; the builds of a matrix of a hundred thousand
_LARGEST = 64 << 20
_LARGEST_LOG = 1 << 20
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
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPiece:
    """A piece of the log of a build."""

    data: bytes
    is_complete: bool
    """whether nothing will come after what is known now"""
    build: str = ""
    """names the build that it is of: Buildbot's, as `<builder>/<number>`, or what is published"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A build to be asked for. Names are checked by who makes it."""

    module: str
    distro: str
    series: str
    arch: str
    kernel_release: str
    version: str = ""
    """of the module; empty for the one that its source is at"""
    rebuild: bool = False

    @property
    def id(self) -> str:
        """Of the question, as `ondemand.Answer.id` has it."""
        return ",".join((self.module, self.version, f"{self.distro}-{self.series}-{self.arch}", self.kernel_release))

    def plain(self) -> dict[str, object]:
        """For JSON, without what is not said."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value}


class ApiClient:
    """Keeps connections open between questions.

    token: empty for none; patience: seconds for which a farm that is away is asked again; timeout: seconds of silence;
    say: is told where it waits.
    Every method raises FarmAway, Refused, NotFound.
    """

    def __init__(
        self,
        server: Server,
        *,
        token: str = "",
        patience: float = PATIENCE,
        timeout: float = 30.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._server = server
        self._token = token
        self._say = say
        self._timeout = urllib3.Timeout(connect=min(timeout, _CONNECT), read=timeout)
        self._pools = Pools()
        self._has_answered = False
        self.patience = patience

    @property
    def server(self) -> Server:
        """Where the farm is."""
        return self._server

    def ask_build(self, wanted: Wanted) -> BuildTold:
        """The build; asked for, if it is not built and can be. One that failed is answered as it is."""
        answered = self._ask("builds", body=wanted.plain(), settled=frozenset({409}), once=wanted.rebuild)
        if answered.status == 409:
            said = answered.error
            return self.build((said and said.id) or wanted.id)
        return _read(answered, BuildTold)

    def build(self, identity: str) -> BuildTold:
        """identity: a question's id."""
        return _read(self._ask(f"builds/{quote(identity, safe=',')}"), BuildTold)

    def log(self, identity: str, offset: int) -> LogPiece | None:
        """The log of a build from this byte on: of the one that runs, or else of the last. None if there is none."""
        path = f"builds/{quote(identity, safe=',')}/log"
        answered = self._ask(
            path, {"offset": str(offset)}, settled=frozenset({404}), limit=_LARGEST_LOG, kind="text/plain"
        )
        if answered.status == 404:
            return None
        return LogPiece(
            data=answered.body,
            is_complete=answered.headers.get("X-Log-Complete", "") == "true",
            build=answered.headers.get("X-Log-Build", ""),
        )

    def standings(self) -> list[StandingTold]:
        """Every build of the matrix."""
        return self._list("coverage/builds", "builds", StandingTold)

    def kernels(self) -> list[KernelTold]:
        return self._list("kernels", "kernels", KernelTold)

    def sources(self) -> list[SourceTold]:
        return self._list("sources", "sources", SourceTold)

    def runs(self, limit: int) -> list[RunTold]:
        """The newest first. limit: 1 to 1000."""
        return self._list("runs", "runs", RunTold, {"limit": str(limit)})

    def run(self, identity: str, ending: str = "") -> RunWholeTold:
        """ending: only the builds that ended so; empty for all."""
        query = {"ending": ending} if ending else None
        return _read(self._ask(f"runs/{quote(identity, safe='')}", query), RunWholeTold)

    def _list(self, path: str, name: str, model: type[_Model], query: Mapping[str, str] | None = None) -> list[_Model]:
        answered = self._ask(path, query)
        found = _json(answered).get(name)
        if not isinstance(found, list):
            raise _odd(answered, f"no {name} in it")
        return [_validated(answered, each, model) for each in found]

    def _ask(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, object] | None = None,
        settled: frozenset[int] = frozenset(),
        once: bool = False,
        limit: int = _LARGEST,
        kind: str = "application/json",
    ) -> Answered:
        """settled: statuses that are answers too; once: not again where it may have been heard; kind: of the answer."""
        url = f"{self._server.api}{path}{'?' + urlencode(query) if query else ''}"
        began, tries = time.monotonic(), 0
        end = began + self.patience
        while True:
            wait = 0.0
            try:
                answered = self._once(url, body, limit)
                self._has_answered = True
                if answered.status in settled and answered.is_ours:
                    return answered
                fault = refusal(answered, server=self._server, kind=kind, has_token=bool(self._token))
                if fault is None:
                    return answered
                if answered.status not in _PASSING_STATUS:
                    raise fault
                wait = answered.retry_after
            except urllib3.exceptions.SSLError as error:
                hint = "is it the right host? SSL_CERT_FILE names a file with the authorities to trust"
                raise FarmAway(f"{url}: no secure connection: {_brief(error)}", hint=hint) from error
            except _PASSING as error:
                fault = _away(self._server, error)
                if not self._has_answered:
                    # a wrong address, more likely than a farm that is being started again
                    end = min(end, began + _FIRST)
                if once and not isinstance(error, _NOT_ASKED):
                    raise fault from error
            except urllib3.exceptions.HTTPError as error:
                raise _away(self._server, error) from error
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
        response = self._pools.of(url, direct=self._server.is_loopback).urlopen(
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


def _read(answered: Answered, model: type[_Model]) -> _Model:
    return _validated(answered, _json(answered), model)


def _json(answered: Answered) -> dict[str, object]:
    found = answered.json()
    if found is None:
        raise _odd(answered, "it is no JSON object")
    return found


def _validated(answered: Answered, data: object, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _odd(answered, f"{where}: {first['msg']}") from error


def _odd(answered: Answered, what: str) -> KmodciError:
    hint = "is the farm of another version than this kmodci? `kmodci --version`"
    return NotFound(f"{answered.url}: the answer is not what was expected: {what}", hint=hint)


def _away(server: Server, error: Exception) -> FarmAway:
    hint = "is that the address, and does the farm run? `kmodci up` starts one; http_proxy and no_proxy are honoured"
    return FarmAway(f"the farm at {server.url} does not answer: {_brief(error)}", hint=hint)


def _brief(error: Exception) -> str:
    """The cause alone, without the objects that urllib3 puts around it."""
    text = str(error.args[-1] if error.args else error)
    return text.rpartition(": ")[2] if isinstance(error, _NOT_ASKED) else text
