"""Builds on demand: `POST builds`, and how each stands by now, and what it says."""

import math
from collections.abc import Awaitable
from dataclasses import replace
from http import HTTPStatus

from twisted.internet import defer
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...apiasked import BuildAsked, NoQuery
from ...apitold import build_told
from ...apitold import refused as refusal_told
from ...board import Board
from ...demands import Demand, decide, why_refused
from ...errors import NotFound
from ...matrix import Planned, Why
from ...model import Status
from ...ondemand import Answer, Question, answer, parse_id
from ..origin import is_own
from .access import Caller, Refused, who_asks
from .base import Body, Context, Endpoint, away, body_of, json_of, query_of, refused, unknown
from .logs import Indices, Log
from .questions import question_of

_MOST = 20_000
_SOON, _LATE = 2, 30


class Builds(Endpoint):
    """`POST`: a question. `<id>` below it is the same again."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._board: Board | None = None
        self._built: dict[object, bytes] = {}
        """what was answered from this board about what is built, by what was asked"""
        self.indices = Indices()
        self._restored = defer.DeferredLock()
        self._is_restored = False

    def getChild(self, path: bytes, request: Request) -> IResource:
        return OneBuild(self, path.decode(errors="replace"))

    def post(self, request: Request, caller: Caller) -> Body:
        origin = request.getHeader("Origin")
        if origin is not None and not is_own(self.context.master, origin):
            raise refused(HTTPStatus.FORBIDDEN, "not from a page of this farm", "another site's page may not ask here")
        query_of(request, NoQuery)
        asked = body_of(request, BuildAsked)
        board = self.context.board
        if not asked.rebuild and (known := self.known(asked, board)):
            return known
        found = self.answer(question_of(asked, board), board)
        demand = decide(
            found,
            rebuild=asked.rebuild,
            may_build=caller.may_build,
            is_cancelled=self._is_cancelled(found, board),
        )
        if demand is Demand.BUILT:
            found = replace(found, state=Status.BUILT, reason="", place=0)
            return self.remember(asked, board, json_of(build_told(found, board, self.context.addresses)))
        if demand is Demand.COMING:
            return self._accepted(request, found, board)
        if demand is Demand.BUILD:
            return self._build(request, found, board, caller, rebuild=asked.rebuild)
        raise self._refusal_of(demand, found, caller)

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

    def answer(self, question: Question, board: Board) -> Answer:
        """Raises Refused for what is not there, or not known yet."""
        try:
            return self._as_asked(answer(question, board, self.context.farm.settings.modules), board)
        except NotFound as error:
            if not board.is_whole and question.module in self.context.farm.settings.modules:
                raise away(f"{error.brief}, as far as is known: not all sources have been read yet") from None
            raise unknown(error) from None

    def _as_asked(self, found: Answer, board: Board) -> Answer:
        """What has ended, and is asked for again, is pending until it has ended again."""
        name = str(found.build_id)
        has_ended = found.planned and found.state in (Status.BUILT, Status.FAILED, Status.UNAVAILABLE)
        if has_ended and (self.context.scheduler.is_asked_for(name) or self.context.keeper.is_behind(name)):
            return replace(found, state=Status.PENDING, reason="", place=board.queue.get(name, 0))
        return found

    def _is_cancelled(self, found: Answer, board: Board) -> bool:
        """Whether it is held until a person asks."""
        name, scheduler = str(found.build_id), self.context.scheduler
        hold = scheduler.plan.holds.get(name)
        is_held = hold is not None and hold.key == board.keys.get(name) and hold.until == math.inf
        # the last plan was before that
        return is_held and not scheduler.is_asked_for(name)

    def _accepted(self, request: Request, found: Answer, board: Board) -> bytes:
        told = build_told(found, board, self.context.addresses)
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
        await self._restored.run(lambda: defer.ensureDeferred(self._restore()))
        quota = self.context.access.quota
        if not quota.take(caller.token, name, scheduler.is_asked_for):
            told = refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"token {caller.token} has {quota.most} builds waiting or running",
                "ask again when one of them has ended; `api:` in kmodci.yml says how many it may have",
                headers={"Retry-After": str(_LATE)},
            )
            raise told
        try:
            await scheduler.build_now(planned, by=f"token {caller.token}", rebuild=rebuild)
        except BaseException:
            quota.drop(caller.token, name)
            raise
        # what was said of it, and what the board has, is of before
        self._built.clear()
        board = self.context.board
        place = scheduler.places(board.running).get(name, 0)
        return self._accepted(request, replace(found, state=Status.PENDING, reason="", place=place), board)

    async def _restore(self) -> None:
        """What was asked for before this master was started, or read its configuration again, counts too."""
        if not self._is_restored:
            for name, by in (await self.context.scheduler.asked_by()).items():
                self.context.access.quota.take(by.removeprefix("token "), name, lambda _: True)
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
            return Log(self.context, self._builds.indices, self.find)
        return super().getChild(path, request)

    def get(self, request: Request, caller: Caller) -> Body:
        query_of(request, NoQuery)
        board = self.context.board
        if known := self._builds.known(self._name, board):
            return known
        found = self.find()
        body = json_of(build_told(found, board, self.context.addresses))
        return self._builds.remember(self._name, board, body) if found.state == Status.BUILT else body

    def find(self) -> Answer:
        """Raises BadName for what is no id, and Refused for what is not there."""
        return self._builds.answer(parse_id(self._name), self.context.board)
