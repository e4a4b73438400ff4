"""What the endpoints of the API have in common: who asks is known, bodies and queries are models, errors are JSON.

An endpoint answers at once, with bytes, or later, with a coroutine that returns them. What can be answered at once
costs no thread, no database and no session: a farm is asked by every node that starts.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from buildbot.master import BuildMaster
from pydantic import BaseModel, ValidationError
from twisted.internet import defer, threads
from twisted.python import log
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from ...addresses import API, Addresses
from ...apianswers import ErrorAnswer, ErrorTold
from ...apiasked import mistakes
from ...board import Board
from ...errors import KmodciError, NotFound
from ...farm import Farm
from ...health import LATE_BOARD
from ...openapi import JSON
from ...quantities import age_text
from ...release import BadName
from ..board import BoardKeeper, keeper_of
from ..login.rules import may_read
from ..origin import header
from ..schedulers import MatrixScheduler, scheduler_of
from .access import Access, Caller, Refused, who_asks

BODY_LIMIT = 64 << 10
"""bytes"""
_SOON = 10
_AT_ONCE, _WAITING = 4, 64
_HEADERS = (
    (b"Content-Type", JSON.encode()),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'"),
)
Body = bytes | Awaitable[bytes]
Query = TypeVar("Query", bound=BaseModel)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What every endpoint works on."""

    master: BuildMaster
    farm: Farm
    access: Access
    addresses: Addresses
    threads: defer.DeferredSemaphore
    """those that answers may take of the master's: builds need them too"""

    @classmethod
    def of(cls, master: BuildMaster, farm: Farm) -> "Context":
        return cls(
            master=master,
            farm=farm,
            access=Access(farm.settings),
            addresses=Addresses.of(farm.settings),
            threads=defer.DeferredSemaphore(_AT_ONCE),
        )

    @property
    def board(self) -> Board:
        """Raises Refused while there is none yet, and where it is out of date."""
        board = self.keeper.board
        if not board.made:
            raise away("the farm has just been started, and knows nothing yet")
        if now() - board.made > LATE_BOARD:
            raise away(f"what the farm knows is {age_text(now() - board.made)} old", "/healthz says what is wrong")
        return board

    @property
    def keeper(self) -> BoardKeeper:
        return keeper_of(self.master)

    @property
    def scheduler(self) -> MatrixScheduler:
        return scheduler_of(self.master)

    async def in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Raises Refused where too many wait for the same."""
        return await self.in_turn(lambda: threads.deferToThread(work, *arguments))

    async def in_turn(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """The same for what has threads of its own, and takes as long."""
        if len(self.threads.waiting) >= _WAITING:
            raise away("too much is asked for at once")
        found: Result = await self.threads.run(work)
        return found


class Endpoint(Resource):
    """Subclasses write `get`, and `post` if they take one. Everything may raise Refused and KmodciError."""

    get: Callable[[Request, Caller], Body] | None = None
    post: Callable[[Request, Caller], Body] | None = None
    is_open = False
    """also to who may not read"""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context

    def getChild(self, path: bytes, request: Request) -> IResource:
        return NoSuchThing(self.context)

    def render(self, request: Request) -> bytes | int:
        """Never raises: what Twisted would say of that is HTML."""
        for name, value in _HEADERS:
            request.setHeader(name, value)
        try:
            body = self._work(request)
        except Exception as error:
            body = self._refusal(request, error)
        if isinstance(body, bytes):
            self.context.access.count(request.code)
            return body
        # what goes on although nobody waits for its answer any more is not broken off
        defer.ensureDeferred(self._later(request, body)).addErrback(log.err, "while answering")
        return NOT_DONE_YET

    def _work(self, request: Request) -> Body:
        method = b"GET" if request.method == b"HEAD" else request.method
        work = {b"GET": self.get, b"POST": self.post}.get(method)
        caller = self.context.access.enter(request)
        if work is None:
            there = [name for name, each in (("GET, HEAD", self.get), ("POST", self.post)) if each]
            raise refused(
                HTTPStatus.METHOD_NOT_ALLOWED, "there is no such method here", headers={"Allow": ", ".join(there)}
            )
        if not self.is_open and not self.may_read(request, caller):
            raise who_asks("to read here takes a token, or a browser in which somebody has logged in")
        return work(request, caller)

    def may_read(self, request: Request, caller: Caller) -> bool:
        """Whoever may read the farm's pages, and who has a token."""
        return bool(caller.token) or may_read(self.context.master, request)

    async def _later(self, request: Request, work: Awaitable[bytes]) -> None:
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)
        try:
            body = await work
        except Exception as error:
            body = self._refusal(request, error)
        self.context.access.count(request.code)
        if gone:
            return
        request.setHeader(b"Content-Length", str(len(body)).encode())
        if request.method != b"HEAD":
            request.write(body)
        request.finish()

    def _refusal(self, request: Request, error: Exception) -> bytes:
        found = _as_refused(error)
        if found.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.err(error, f"while answering {request.method!r} {request.path!r}")
        request.setResponseCode(found.status)
        request.setHeader(b"Content-Type", JSON.encode())
        for name, value in found.headers.items():
            request.setHeader(name.encode(), value.encode())
        return json_of(ErrorAnswer(error=found.told), exclude_none=True)


class NoSuchThing(Endpoint):
    """For whatever is not there."""

    def _work(self, request: Request) -> Body:
        self.context.access.enter(request)
        hint = f"{self.context.addresses.web}{API}/openapi.json has all that is there"
        raise refused(HTTPStatus.NOT_FOUND, "there is nothing here", hint)


def refused(status: int, message: str, hint: str = "", *, headers: Mapping[str, str] | None = None) -> Refused:
    return Refused(status, ErrorTold(message=message, hint=hint), headers)


def away(message: str, hint: str = "try again in a while") -> Refused:
    """It will work later, as it is."""
    return refused(HTTPStatus.SERVICE_UNAVAILABLE, message, hint, headers={"Retry-After": str(_SOON)})


def wrong(fields: Mapping[str, str]) -> Refused:
    """fields: what is wrong with each."""
    message = f"not to be understood: {', '.join(fields)}"[:300]
    told = ErrorTold(message=message, hint="`fields` says what is wrong with each", fields=fields)
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, told)


def unknown(error: NotFound) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, ErrorTold(message=error.brief, hint=error.hint, nearest=error.nearest))


def json_of(answer: BaseModel, *, exclude_none: bool = False) -> bytes:
    return (answer.model_dump_json(exclude_none=exclude_none) + "\n").encode()


def query_of(request: Request, model: type[Query]) -> Query:
    """Each field of a query once, and no other. Raises Refused."""
    given: dict[str, str] = {}
    for name, values in (request.args or {}).items():
        field = name.decode(errors="replace")[:80]
        if len(values) != 1:
            raise wrong({field: "is given more than once"})
        try:
            given[field] = values[0].decode()
        except UnicodeDecodeError:
            raise wrong({field: "is no text"}) from None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise wrong(mistakes(error)) from None


def body_of(request: Request, model: type[Query]) -> Query:
    """The body, which is JSON. Raises Refused."""
    kind = header(request, "Content-Type").partition(";")[0].strip().lower()
    if kind != JSON:
        raise refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a body is sent as {JSON}", "say so: Content-Type")
    data = request.content.read(BODY_LIMIT + 1)
    if len(data) > BODY_LIMIT:
        raise refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {BODY_LIMIT} bytes")
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise wrong(mistakes(error)) from None


def _as_refused(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, NotFound):
        return unknown(error)
    if isinstance(error, BadName):
        return refused(HTTPStatus.NOT_FOUND, error.brief, error.hint)
    if isinstance(error, KmodciError):
        return away(error.brief[:300], error.hint or "try again in a while")
    return refused(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the farm's own", "the master's log has it")


def now() -> float:
    """Seconds since the epoch."""
    return time.time()
