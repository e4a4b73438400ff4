"""Keeps the board: what pages and the API answer from, without asking the store.

Made anew after each plan, and brought up to date when builds start and end, a few times a second at most.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

from buildbot.master import BuildMaster
from buildbot.mq.base import QueueRef
from buildbot.util.service import BuildbotService
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, task, threads
from twisted.internet.interfaces import IDelayedCall
from twisted.python import log

from ..board import Board
from ..boardmaker import BoardMaker
from ..errors import KmodciError
from ..farm import Farm
from .requests import FORCED
from .schedulers import MATRIX, PLANNED, MatrixScheduler

# What has changed since is seen together, so that a hundred builds that end at once cost no more than one.
_SOON = 0.5
# Versions leave the index at night (`gc`), and others may come with a bucket that was restored.
_EVERY = 600.0


class BoardKeeper(BuildbotService):
    """`board` is what is known now; `changed` fires when the next one has taken its place."""

    name = "board"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)
        self.board = Board()
        self._maker = BoardMaker(farm=farm, say=log.msg)
        self._ended: set[str] = set()
        self._unseen: set[str] = set()
        self._is_old = True
        self._again: IDelayedCall | None = None
        self._turn = defer.DeferredLock()
        self._waiting: list[defer.Deferred[Board]] = []
        self._consumers: list[QueueRef] = []
        self._timer = task.LoopingCall(self._read_again)

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self._maker = BoardMaker(farm=farm, say=log.msg)
        self._is_old = True
        return defer.succeed(None)

    @async_to_deferred
    async def startService(self) -> None:
        await super().startService()
        consume = self.master.mq.startConsuming
        self._consumers = [
            (await consume(self._plan_made, PLANNED)),
            (await consume(self._has_ended, ("buildsets", None, "complete"))),
            (await consume(self._has_started, ("builds", None, "new"))),
            (await consume(self._has_started, ("buildsets", None, "new"))),
        ]
        self._timer.start(_EVERY, now=True)

    @async_to_deferred
    async def stopService(self) -> None:
        await super().stopService()
        if self._timer.running:
            self._timer.stop()
        for consumer in self._consumers:
            consumer.stopConsuming()
        if self._again is not None and self._again.active():
            self._again.cancel()
        await self._turn.run(lambda: None)

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
        self._soon()

    def _has_ended(self, key: object, message: Mapping[str, object]) -> None:
        name = str(message.get("external_idstring")).removeprefix(FORCED)
        if name.count("/") == 2:
            self._ended.add(name)
            self._unseen.add(name)
        self._soon()

    def _has_started(self, key: object, message: object) -> None:
        self._soon()

    def _read_again(self) -> None:
        self._maker.forget_versions()
        self._is_old = True
        self._soon()

    def _soon(self) -> None:
        if self._again is None or not self._again.active():
            self._again = self.master.reactor.callLater(_SOON, self._run)

    def _run(self) -> None:
        done = self._turn.run(lambda: defer.ensureDeferred(self._look()))
        done.addErrback(log.err, "while bringing the board up to date")

    async def _look(self) -> None:
        scheduler = self._scheduler
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

    @property
    def _scheduler(self) -> MatrixScheduler | None:
        return self.master.scheduler_manager.namedServices.get(MATRIX)


def keeper_of(master: BuildMaster) -> BoardKeeper:
    """The one of this master."""
    found: BoardKeeper = master.service_manager.namedServices[BoardKeeper.name]
    return found
