"""Asks for the builds that are missing.

Not "this change makes these builds" but "what is missing?", asked at start, whenever something
changed, and every minute: a plan that is made again loses nothing, whatever was killed when. What a plan says is due
becomes a run (`ledger`); runs fill Buildbot's queue (`filling`). What somebody asks for comes before that (`forced`).
"""

import time
from collections.abc import Collection, Sequence

from buildbot.changes.changes import Change
from buildbot.master import BuildMaster
from buildbot.mq.base import QueueRef
from buildbot.schedulers.base import ReconfigurableBaseScheduler
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, task, threads
from twisted.python import log

from ..errors import KmodciError
from ..farm import Farm
from ..ledger import Ledger
from ..matrix import Planned
from ..planning import Plan
from ..recovery import catch_up
from .cancelling import cancel_run, hold_cancelled
from .events import CHANGED, PLANNED, SETTLED
from .filling import fill
from .forced import Forced
from .prefetch import Prefetch
from .requests import FORCED, Requests
from .services import service_of
from .soon import Soon
from .virtual import VirtualBuilders

# the name of the one scheduler of this kind
MATRIX = "matrix"
_EVERY = 60.0
_SOON = 0.3


class MatrixScheduler(ReconfigurableBaseScheduler):
    """Plans, registers builders, keeps the ledger, and asks for images and builds."""

    requests: Requests
    forced: Forced

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._soon = Soon(self, self._look, within=_SOON, doing="planning; planned again within a minute")
        self._consumers: list[QueueRef] = []
        self._timer = task.LoopingCall(self.wake)
        self.plan = Plan()
        """the last one"""
        self.planned_at = 0.0
        """when it was made, in seconds since the epoch; 0 before the first"""
        self._ready: dict[str, Planned] = {}
        self._plan_is_old = True
        self._ended: set[str] = set()
        self._is_caught_up = False

    def checkConfig(self, builderNames: Sequence[str], farm: Farm) -> None:
        super().checkConfig(builderNames)

    @async_to_deferred
    async def reconfigService(self, builderNames: Sequence[str], farm: Farm) -> None:
        await super().reconfigService(builderNames)
        await self._soon.turn.run(self._use, farm)
        if self._timer.running:
            self.wake()

    def _use(self, farm: Farm) -> None:
        self.farm = farm
        self.ledger: Ledger = farm.ledger()
        self._is_caught_up = False

    @async_to_deferred
    async def activate(self) -> None:
        await super().activate()
        self.requests = Requests(self.master, self.name)
        self.forced = Forced(self.requests, self._soon.turn, self._open_forced)
        await self.requests.read()
        consume = self.master.mq.startConsuming
        self._consumers = [
            (await consume(lambda key, message: self.wake(), CHANGED)),
            (await consume(self._complete, ("buildsets", None, "complete"))),
            (await consume(self._cancelled, ("buildrequests", None, "cancel"))),
        ]
        await self.startConsumingChanges()
        self._timer.start(_EVERY)

    @async_to_deferred
    async def deactivate(self) -> None:
        await super().deactivate()
        if self._timer.running:
            self._timer.stop()
        for consumer in self._consumers:
            consumer.stopConsuming()
        self._consumers = []
        await self._soon.stop()

    def gotChange(self, change: Change, important: bool) -> defer.Deferred[None]:
        """A kernel or a module changed; what follows from that is the plan's to say."""
        self.wake()
        return defer.succeed(None)

    def wake(self) -> None:
        """Plans soon, once for all that happens until then."""
        self._plan_is_old = True
        self._soon.want()

    def _complete(self, key: tuple[str, ...], message: dict[str, object]) -> None:
        name = str(message.get("external_idstring"))
        self.forced.ended(name)
        if self.requests.ended(name):
            if name.startswith("image/"):
                self._plan_is_old = True
            else:
                self._ended.add(name.removeprefix(FORCED))
            self._soon.want()

    def _cancelled(self, key: tuple[str, ...], message: dict[str, object]) -> None:
        done = self._soon.turn.run(lambda: hold_cancelled(self.master, self.farm, message["buildsetid"]))
        done.addErrback(log.err, "while noting that a request was cancelled")

    async def _look(self) -> None:
        """Settles what has ended, plans anew if anything changed, and fills the queue."""
        try:
            if not self._is_caught_up:
                await threads.deferToThread(self._catch_up)
                self._is_caught_up = True
            ended, self._ended = self._ended, set()
            if ended:
                if not await threads.deferToThread(self.ledger.ended, ended):
                    self._plan_is_old = True
                self.master.mq.produce(SETTLED, {})
            if self._plan_is_old:
                self._plan_is_old = False
                await self.requests.check()
                self.plan = await threads.deferToThread(self._make_plan)
                self._ready, self.planned_at = self.plan.ready, time.time()
                await service_of(self.master, VirtualBuilders).register(self.plan.entries)
                self.master.mq.produce(PLANNED, {})
        except KmodciError as error:
            self._plan_is_old = True
            log.msg(f"cannot plan now, tried again within a minute: {error}")
            return
        want = service_of(self.master, Prefetch).want
        await fill(self.farm, self.plan, self._ready, self.ledger, self.requests, ended=self._ended, prefetch=want)

    def _catch_up(self) -> None:
        """In a thread, at a start."""
        catch_up(self.farm.bucket, self.farm.store, self.farm.publisher)
        if gone := self.farm.watch.drop_unfollowed():
            log.msg(f"{len(gone)} kernels are not followed any more by targets.yml, and stay as gone")
        self.farm.planner.forget_faults()

    def _make_plan(self) -> Plan:
        """In a thread."""
        plan = self.farm.planner.plan()
        self.ledger.look(
            plan.due, plan.wanted, plan.keys, plan.outcomes, plan.holds, former=plan.former, skipped=plan.skipped
        )
        return plan

    def _open_forced(self, planned: Planned) -> None:
        """In a thread."""
        self.farm.runs.release([planned.entry.build_id])
        self.ledger.open_forced(planned)

    async def cancel_run(self, run: str, *, by: str, stop: bool) -> None:
        """Cancels what of a run has not started; what runs may end, or is stopped as well. Raises NotFound."""
        await self._soon.turn.run(lambda: cancel_run(self.ledger, self.requests, run, by=by, stop=stop))
        self.wake()

    async def building(self) -> dict[str, str]:
        """What is running: build id -> address of the build; empty while this is not activated."""
        return await self.requests.building() if self._timer.running else {}

    def places(self, running: Collection[str]) -> dict[str, int]:
        """Build id -> its place in the queue, from 1. running: build ids, which have none."""
        if not self._timer.running:
            return {}
        names = dict.fromkeys([*self.forced.names, *self.ledger.names()])
        return {name: place for place, name in enumerate((each for each in names if each not in running), 1)}

    def run_of(self, build_id: str) -> str:
        """The open run that it is part of; empty for none."""
        return self.ledger.run_of(build_id) if self._timer.running else ""


def scheduler_of(master: BuildMaster) -> MatrixScheduler:
    """The one of this master. Raises KeyError while there is none."""
    found: MatrixScheduler = master.scheduler_manager.namedServices[MATRIX]
    return found


def found_scheduler(master: BuildMaster) -> MatrixScheduler | None:
    """The same, for who is there before it."""
    return master.scheduler_manager.namedServices.get(MATRIX)
