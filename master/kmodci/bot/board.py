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
from ..coverage import Tally
from ..errors import KmodciError
from ..farm import Farm
from ..manifest import IndexEntry
from ..model import BuildId
from ..publishing import versions_of
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
        self._planned = Board()
        self._old: dict[tuple[str, str], Mapping[str, IndexEntry]] = {}
        self._ended: set[str] = set()
        self._unseen: set[str] = set()
        self._noted: Mapping[str, Tally] = {}
        self._is_old = True
        self._again: IDelayedCall | None = None
        self._turn = defer.DeferredLock()
        self._waiting: list[defer.Deferred[Board]] = []
        self._consumers: list[QueueRef] = []
        self._timer = task.LoopingCall(self._read_again)

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self.farm = farm
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
        self._old = {}
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
        if scheduler is None:
            return
        is_old, self._is_old = self._is_old, False
        ended = set(self._ended)
        try:
            if is_old:
                self._planned = await threads.deferToThread(self._of_plan, scheduler)
            running = await scheduler.building()
            board = await threads.deferToThread(self._up_to_date, ended)
        except KmodciError as error:
            self._is_old = self._is_old or is_old
            log.msg(f"the board is behind: {error}")
            return
        if is_old:
            # the plan knows of all that had ended before it was made
            self._ended -= ended
            self._planned = board
        board = replace(board, running=running, queue=scheduler.places(running), made=time.time())
        self.board = board.after(self.board)
        self._unseen -= ended
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(self.board)

    @property
    def _scheduler(self) -> MatrixScheduler | None:
        return self.master.scheduler_manager.namedServices.get(MATRIX)

    def _of_plan(self, scheduler: MatrixScheduler) -> Board:
        """In a thread: the last plan, with what it does not say."""
        plan = scheduler.plan
        versions = plan.versions
        published = {(name, each.version): self._published(name, each.version) for name, each in versions.items()}
        for module in versions:
            for version in versions_of(self.farm.bucket, module):
                if (module, version) not in published:
                    if (module, version) not in self._old:
                        self._old[module, version] = self._published(module, version)
                    published[module, version] = self._old[module, version]
        history, arrivals = self.farm.history, {}
        for each in history.arrivals():
            last = plan.outcomes.get(each.build_id)
            if last is not None and last.kernel_version == each.kernel_version:
                arrivals[each.build_id] = each
        return Board(
            is_whole=plan.is_whole,
            appearances=history.appearances(),
            arrivals=arrivals,
            kernels=plan.kernels,
            standings={str(each.entry.build_id): each for each in plan.builds},
            keys=plan.keys,
            versions=versions,
            waiting=plan.waiting,
            published=published,
        )

    def _published(self, module: str, version: str) -> Mapping[str, IndexEntry]:
        return self.farm.publisher.entries(module, version)

    def _up_to_date(self, ended: set[str]) -> Board:
        """In a thread: what has ended since the plan was made."""
        found = [self.farm.store.outcome(BuildId.parse(name)) for name in ended]
        outcomes = [each for each in found if each is not None]
        changed = {(each.build_id.module, each.module_version) for each in outcomes}
        published = {version: self._published(*version) for version in changed}
        board = self._planned.with_outcomes(outcomes)
        board = replace(board, published={**board.published, **published})
        if board.is_whole and board.tallies != self._noted:
            self.farm.history.note_tallies(board.tallies, time.time())
            self._noted = board.tallies
        return board


def keeper_of(master: BuildMaster) -> BoardKeeper:
    """The one of this master."""
    found: BoardKeeper = master.service_manager.namedServices[BoardKeeper.name]
    return found
