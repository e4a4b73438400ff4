"""Builds on demand: `POST builds`, and how each stands by now, and what it says."""

import math
from collections.abc import Awaitable
from dataclasses import replace
from http import HTTPStatus

from twisted.internet import defer
from twisted.python import log
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...apianswers import BuildTold
from ...apiasked import BuildAsked, NoQuery
from ...apitold import build_told
from ...apitold import refused as refusal_told
from ...board import Board
from ...demands import Demand, decide, why_refused
from ...errors import NotFound
from ...matrix import Planned, Why
from ...model import Status
from ...ondemand import Answer, Question, answer, is_known, parse_id
from ..origin import header, is_own
from .access import Caller, Refused, who_asks
from .base import Body, Context, Endpoint, away, body_of, json_of, query_of, refused
from .logs import Log, Logs
from .misses import Misses, refusal_of
from .questions import question_of

_MOST = 20_000
_SOON, _LATE = 2, 30
# for the record
_PREFIX = "token "
_ASKED = f"asked for by {_PREFIX}"


class Builds(Endpoint):
    """`POST`: a question. `<id>` below it is the same again."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._board: Board | None = None
        self._built: dict[object, bytes] = {}
        """what was answered from this board about what is built, by what was asked"""
        self.logs = Logs()
        self._misses = Misses(context)
        self._restored = defer.DeferredLock()
        self._is_restored = False

    def getChild(self, path: bytes, request: Request) -> IResource:
        return OneBuild(self, path.decode(errors="replace"))

    def post(self, request: Request, caller: Caller) -> Body:
        is_sent = request.requestHeaders.hasHeader("Origin")
        if is_sent and not is_own(self.context.master, header(request, "Origin")):
            raise refused(HTTPStatus.FORBIDDEN, "not from a page of this farm", "another site's page may not ask here")
        query_of(request, NoQuery)
        asked = body_of(request, BuildAsked)
        board = self.context.board
        if not asked.rebuild and (known := self.known(asked, board)):
            return known
        return self._decide(request, asked, board, caller)

    async def _decide(self, request: Request, asked: BuildAsked, board: Board, caller: Caller) -> bytes:
        found = await self.answer(question_of(asked, board), board, caller)
        is_cancelled = self._is_cancelled(found, board)
        demand = decide(
            found,
            rebuild=asked.rebuild,
            may_build=caller.may_build,
            is_cancelled=is_cancelled,
        )
        if demand is Demand.BUILT:
            found = replace(found, state=Status.BUILT, reason="", place=0)
            return self.remember(asked, board, json_of(self.told(found, board)))
        has_just_ended = self.context.keeper.is_behind(str(found.build_id)) and not is_cancelled
        if demand is Demand.COMING or (demand is Demand.BUILD and not asked.rebuild and has_just_ended):
            # how, the next board says
            return self._accepted(request, found, board)
        if demand is Demand.BUILD:
            return await self._build(request, found, board, caller, rebuild=asked.rebuild)
        raise self._refusal_of(demand, found, caller)

    def told(self, found: Answer, board: Board) -> BuildTold:
        return build_told(found, board, self.context.addresses, slots=self.context.farm.slots)

    def known(self, key: object, board: Board) -> bytes | None:
        """The answer to what was asked before, while it is true."""
        if board is not self._board:
            self._board, self._built = board, {}
        return self._built.get(key)

    def remember(self, key: object, board: Board, body: bytes) -> bytes:
        if board is self._board:
            if len(self._built) >= _MOST:
                self._built.clear()
            self._built[key] = body
        return body

    async def answer(self, question: Question, board: Board, caller: Caller) -> Answer:
        """Raises Refused for what is not there, or not known yet."""
        modules = self.context.farm.settings.modules
        if not is_known(question, board, modules):
            raise await self._misses.look(question, board, caller)
        try:
            return self._as_asked(answer(question, board, modules), board)
        except NotFound as error:
            raise refusal_of(error, question, board, modules) from None

    def _as_asked(self, found: Answer, board: Board) -> Answer:
        """What has ended, and is asked for again, is pending until it has ended again."""
        name = str(found.build_id)
        has_ended = found.planned and found.state in (Status.BUILT, Status.FAILED, Status.UNAVAILABLE)
        if has_ended and (self.context.scheduler.requests.is_asked_for(name) or self.context.keeper.is_behind(name)):
            return replace(found, state=Status.PENDING, reason="", place=board.queue.get(name, 0))
        return found

    def _is_cancelled(self, found: Answer, board: Board) -> bool:
        """Whether it is held until a person asks."""
        name, scheduler = str(found.build_id), self.context.scheduler
        hold = scheduler.plan.holds.get(name)
        is_held = hold is not None and hold.key == board.keys.get(name) and hold.until == math.inf
        # the last plan was before that
        return is_held and not scheduler.requests.is_asked_for(name)

    def _accepted(self, request: Request, found: Answer, board: Board) -> bytes:
        told = self.told(found, board)
        request.setResponseCode(HTTPStatus.ACCEPTED)
        request.setHeader(b"Location", told.status_url.encode())
        wait = min(max(_SOON, told.eta_seconds or _SOON), _LATE)
        request.setHeader(b"Retry-After", str(wait).encode())
        return json_of(told)

    def _build(
        self, request: Request, found: Answer, board: Board, caller: Caller, *, rebuild: bool
    ) -> Awaitable[bytes]:
        name = str(found.build_id)
        key = board.keys.get(name)
        if found.planned is None or key is None:
            raise self._refusal_of(Demand.UNREAD, found, caller)
        planned = Planned(entry=found.planned, key=key, why=Why.FORCED)
        return self._have_built(request, found, planned, caller, rebuild=rebuild)

    async def _have_built(
        self, request: Request, found: Answer, planned: Planned, caller: Caller, *, rebuild: bool
    ) -> bytes:
        scheduler, name = self.context.scheduler, str(found.build_id)
        await self._restored.run(self._restore)
        quota = self.context.access.quota
        if not quota.take(caller.token, name, scheduler.requests.is_asked_for):
            told = refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"token {caller.token} has {quota.most} builds waiting or running",
                "ask again when one of them has ended; `api:` in kmodci.yml says how many it may have",
                headers={"Retry-After": str(_LATE)},
            )
            raise told
        is_asked_for = False
        try:
            # a build that is queued already has another reason: here it says who put it before the others
            log.msg(f"{name} is {_ASKED}{caller.token}{', again' if rebuild else ''}", build_id=name)
            await scheduler.forced.build_now(planned, by=f"{_PREFIX}{caller.token}", rebuild=rebuild)
            is_asked_for = True
        finally:
            quota.settle(caller.token, name, is_open=is_asked_for)
        # what was said of it, and what the board has, is of before
        self._built.clear()
        board = self.context.board
        place = scheduler.places(board.running).get(name, 0)
        return self._accepted(request, replace(found, state=Status.PENDING, reason="", place=place), board)

    async def _restore(self) -> None:
        """What was asked for before this master was started, or read its configuration again, counts too."""
        if not self._is_restored:
            for name, by in (await self.context.scheduler.forced.asked_by()).items():
                # who presses a button on a page has no token, whatever they are called
                if by.startswith(_PREFIX):
                    self.context.access.quota.note(by.removeprefix(_PREFIX), name)
            self._is_restored = True

    def _refusal_of(self, demand: Demand, found: Answer, caller: Caller) -> Refused:
        if demand is Demand.ASK_WHO:
            if caller.token:
                return refused(HTTPStatus.FORBIDDEN, f"token {caller.token} may read, and have nothing built")
            return who_asks(f"{found.build_id} would have to be asked for, and that takes a token")
        if demand is Demand.UNREAD:
            return away(f"the source of {found.build_id.module} has not been read yet", "`GET sources` says why")
        message, hint = why_refused(found)
        return Refused(HTTPStatus.CONFLICT, refusal_told(found, message, hint, self.context.addresses))


class OneBuild(Endpoint):
    """How it stands by now, whatever that is."""

    def __init__(self, builds: Builds, name: str) -> None:
        super().__init__(builds.context)
        self._builds = builds
        self._name = name

    def getChild(self, path: bytes, request: Request) -> IResource:
        if path == b"log":
            return Log(self.context, self._builds.logs, self.find)
        return super().getChild(path, request)

    def get(self, request: Request, caller: Caller) -> Body:
        query_of(request, NoQuery)
        board = self.context.board
        if known := self._builds.known(self._name, board):
            return known
        return self._tell(board, caller)

    async def _tell(self, board: Board, caller: Caller) -> bytes:
        found = await self._builds.answer(parse_id(self._name), board, caller)
        body = json_of(self._builds.told(found, board))
        return self._builds.remember(self._name, board, body) if found.state == Status.BUILT else body

    async def find(self, caller: Caller) -> Answer:
        """Raises BadName for what is no id, and Refused for what is not there."""
        return await self._builds.answer(parse_id(self._name), self.context.board, caller)
