"""Keeps the board: what pages and the API answer from, without asking the store.

Made anew after each plan, and brought up to date when builds start and end, a few times a second at most.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

from buildbot.master import BuildMaster
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, threads
from twisted.python import log

from ..board import Board
from ..boardmaker import BoardMaker
from ..errors import KmodciError
from ..farm import Farm
from .events import PLANNED
from .requests import FORCED
from .schedulers import found_scheduler
from .services import TimedService, service_of
from .soon import Soon

# What has changed since is seen together, so that a hundred builds that end at once cost no more than one.
_SOON = 0.5


class BoardKeeper(TimedService):
    """`board` is what is known now; `changed` fires when the next one has taken its place."""

    name = "board"
    # Versions leave the index at night (`gc`), and others may come with a bucket that was restored.
    every = 600.0
    doing = "reading the index again"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)
        self.board = Board()
        self._maker = BoardMaker(farm=farm, say=log.msg)
        self._ended: set[str] = set()
        self._unseen: set[str] = set()
        self._is_old = True
        self._waiting: list[defer.Deferred[Board]] = []
        self._soon = Soon(self, self._look, within=_SOON, doing="bringing the board up to date")

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self._maker = BoardMaker(farm=farm, say=log.msg)
        self._is_old = True
        return defer.succeed(None)

    async def listen(self) -> None:
        await self.on(PLANNED, self._plan_made)
        await self.on(("buildsets", None, "complete"), self._has_ended)
        await self.on(("builds", None, "new"), self._has_started)
        await self.on(("buildsets", None, "new"), self._has_started)

    @async_to_deferred
    async def stopService(self) -> None:
        await super().stopService()
        await self._soon.stop()

    def changed(self) -> defer.Deferred[Board]:
        """Fires with the next board. Who does not want it any more cancels it."""
        waiting: defer.Deferred[Board] = defer.Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def is_behind(self, build_id: str) -> bool:
        """Whether a build has ended since the board was made: it says how things stood before."""
        return build_id in self._unseen

    def _plan_made(self, key: object, message: object) -> None:
        self._is_old = True
        self._soon.want()

    def _has_ended(self, key: object, message: Mapping[str, object]) -> None:
        name = str(message.get("external_idstring")).removeprefix(FORCED)
        if name.count("/") == 2:
            self._ended.add(name)
            self._unseen.add(name)
        self._soon.want()

    def _has_started(self, key: object, message: object) -> None:
        self._soon.want()

    async def work(self) -> None:
        self._maker.forget_versions()
        self._is_old = True
        self._soon.want()

    async def _look(self) -> None:
        scheduler = found_scheduler(self.master)
        if scheduler is None or not scheduler.planned_at:
            # of what there is nothing is known yet
            return
        maker, (is_old, self._is_old) = self._maker, (self._is_old, False)
        ended = frozenset(self._ended)
        try:
            if is_old:
                await threads.deferToThread(maker.take, scheduler.plan)
            running = await scheduler.building()
            board, unknown = await threads.deferToThread(maker.board, ended)
        except KmodciError as error:
            self._is_old = self._is_old or is_old
            log.msg(f"the board is behind: {error}")
            return
        self._ended -= ended - unknown
        self._unseen -= ended
        board = replace(board, running=running, queue=scheduler.places(running), made=time.time())
        self.board = board.after(self.board)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self.board)


def keeper_of(master: BuildMaster) -> BoardKeeper:
    """The one of this master."""
    return service_of(master, BoardKeeper)
