"""Keeps Buildbot's queue filled with what the plan says is still to be built.

Not "this change makes these builds" but "what is missing?", asked at start, whenever something
changed and whenever a build ended: a plan that is made again loses nothing, whatever was killed
when. The queue is bounded, because Buildbot's own slows down with thousands of requests.
"""

import time
from collections.abc import Sequence

from buildbot.changes.changes import Change
from buildbot.mq.base import QueueRef
from buildbot.schedulers.base import ReconfigurableBaseScheduler
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, task, threads
from twisted.internet.interfaces import IDelayedCall
from twisted.python import log

from ..errors import KmodciError
from ..farm import Farm
from ..matrix import Entry, Planned
from ..model import Status
from .prefetch import Prefetch
from .virtual import VirtualBuilders, properties

# Told by pollers when the store has something new; anybody may.
CHANGED = ("kmodci", "matrix", "changed")
_EVERY = 60.0
_SOON = 0.3


class MatrixScheduler(ReconfigurableBaseScheduler):
    """Plans, registers builders, and asks for images and builds."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._again: IDelayedCall | None = None
        self._planning = defer.DeferredLock()
        self._consumers: list[QueueRef] = []
        self._timer = task.LoopingCall(self.wake)

    def checkConfig(self, builderNames: Sequence[str], farm: Farm) -> None:
        super().checkConfig(builderNames)

    @async_to_deferred
    async def reconfigService(self, builderNames: Sequence[str], farm: Farm) -> None:
        await super().reconfigService(builderNames)
        self.farm = farm
        if self._timer.running:
            self.wake()

    @async_to_deferred
    async def activate(self) -> None:
        await super().activate()
        await threads.deferToThread(self.farm.forget_farm_faults)
        self._in_queue: dict[str, int] = await self._waiting()
        consume = self.master.mq.startConsuming
        self._consumers = [
            (await consume(lambda key, message: self.wake(), CHANGED)),
            (await consume(self._ended, ("buildsets", None, "complete"))),
            (await consume(self._cancelled, ("buildrequests", None, "cancel"))),
        ]
        await self.startConsumingChanges()
        self._timer.start(_EVERY)

    @async_to_deferred
    async def deactivate(self) -> None:
        await super().deactivate()
        if self._timer.running:
            self._timer.stop()
        if self._again is not None and self._again.active():
            self._again.cancel()
        for consumer in self._consumers:
            consumer.stopConsuming()
        self._consumers = []
        # a plan under way finishes what it was writing
        await self._planning.run(lambda: None)

    def gotChange(self, change: Change, important: bool) -> defer.Deferred[None]:
        """A kernel or a module changed; what follows from that is the plan's to say."""
        self.wake()
        return defer.succeed(None)

    def wake(self) -> None:
        """Plans soon, once for all that happens until then."""
        if self._again is None or not self._again.active():
            self._again = self.master.reactor.callLater(_SOON, self._wake)

    def _wake(self) -> None:
        planned = self._planning.run(lambda: defer.ensureDeferred(self._plan()))
        planned.addErrback(log.err, "while planning; planned again within a minute")

    def _ended(self, key: tuple[str, ...], message: dict[str, object]) -> None:
        ended = self._in_queue.pop(str(message.get("external_idstring")), None) is not None
        # a plan costs as much as there are kernels: so not one for each build that ends, but for each half a queue
        if ended and len(self._in_queue) <= self.farm.queue_length // 2:
            self.wake()

    @async_to_deferred
    async def _cancelled(self, key: tuple[str, ...], message: dict[str, object]) -> None:
        buildset = await self.master.data.get(("buildsets", str(message["buildsetid"])))
        if buildset and buildset["external_idstring"]:
            await threads.deferToThread(self._note_cancelled, buildset["external_idstring"])

    def _note_cancelled(self, name: str) -> None:
        """In a thread. Or it would be planned again at once."""
        if name.count("/") == 2:
            self.farm.conclude(self.farm.job(name), Status.FAILED, "cancelled before it started", began=time.time())

    async def _waiting(self) -> dict[str, int]:
        """What an earlier life of this master has asked for and not yet ended."""
        open_sets = await self.master.data.get(("buildsets",))
        return {s["external_idstring"]: s["bsid"] for s in open_sets if not s["complete"] and s["external_idstring"]}

    async def _plan(self) -> None:
        try:
            plan = await threads.deferToThread(self.farm.plan)
        except KmodciError as error:
            log.msg(f"cannot plan now: {error}")
            return
        builders: VirtualBuilders = self.master.service_manager.namedServices[VirtualBuilders.name]
        await builders.register(plan.entries)
        for toolchain in plan.missing_images:
            await self._request(f"image/{toolchain}", "images", {"toolchain": toolchain}, "image missing", priority=100)
        room = self.farm.queue_length - len(self._in_queue)
        for planned in plan.ready:
            if room <= 0:
                break
            room -= await self._request_build(planned)

    async def _request_build(self, planned: Planned) -> bool:
        entry: Entry = planned.entry
        prefetch: Prefetch = self.master.service_manager.namedServices[Prefetch.name]
        prefetch.want(entry.kernel)
        return await self._request(str(entry.build_id), entry.kernel.toolchain, properties(entry), planned.why)

    async def _request(
        self, name: str, builder: str, wanted: dict[str, object], why: str, *, priority: int = 0
    ) -> bool:
        """Puts one request into the queue, unless it is there. Returns whether it did."""
        if name in self._in_queue:
            return False
        self._in_queue[name] = 0
        builderid = await self.master.botmaster.builders[builder].getBuilderId()
        self._in_queue[name], _ = await self.master.data.updates.addBuildset(
            scheduler=self.name,
            builderids=[builderid],
            sourcestamps=[{"codebase": "", "repository": "", "branch": None, "revision": None, "project": ""}],
            reason=why,
            external_idstring=name,
            properties={key: (value, self.name) for key, value in wanted.items()},
            waited_for=False,
            priority=priority,
        )
        return True
