"""Asks for the builds that are missing.

Not "this change makes these builds" but "what is missing?", asked at start, whenever something
changed, and every minute: a plan that is made again loses nothing, whatever was killed when. What a plan says is due
becomes a run (`ledger`); runs fill Buildbot's queue, which is bounded because it slows down with thousands of requests.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from buildbot.changes.changes import Change
from buildbot.mq.base import QueueRef
from buildbot.schedulers.base import ReconfigurableBaseScheduler
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, task, threads
from twisted.internet.interfaces import IDelayedCall
from twisted.python import log

from ..errors import KmodciError
from ..farm import Farm
from ..ledger import Ledger
from ..matrix import Entry, Planned, Why
from ..model import BuildId
from ..planning import Plan
from ..recovery import catch_up
from .cancelling import cancel_run
from .prefetch import Prefetch
from .requests import FORCED, FORCED_PRIORITY, IMAGE_PRIORITY, Requests
from .virtual import VirtualBuilders, properties

# Told by pollers when the store has something new; anybody may.
CHANGED = ("kmodci", "matrix", "changed")
# Told when a plan was made: `MatrixScheduler.plan` is the new one.
PLANNED = ("kmodci", "matrix", "planned")
# Told when builds that have ended are noted in their runs.
SETTLED = ("kmodci", "runs", "settled")
# the name of the one scheduler of this kind
MATRIX = "matrix"
_EVERY = 60.0
_SOON = 0.3
_ASKED_BY = "asked for by "
# a buildset, and the request at each builder
Asked = tuple[int, dict[int, int]]


class MatrixScheduler(ReconfigurableBaseScheduler):
    """Plans, registers builders, keeps the ledger, and asks for images and builds."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._again: IDelayedCall | None = None
        self._turn = defer.DeferredLock()
        self._consumers: list[QueueRef] = []
        self._timer = task.LoopingCall(self.wake)
        self._plan = Plan()
        self._ready: dict[str, Planned] = {}
        self._plan_is_old = True
        self._ended: set[str] = set()
        self._is_caught_up = False
        self._planned_at = 0.0
        self._asking = defer.DeferredLock()
        self._hurried: dict[str, None] = {}

    def checkConfig(self, builderNames: Sequence[str], farm: Farm) -> None:
        super().checkConfig(builderNames)

    @async_to_deferred
    async def reconfigService(self, builderNames: Sequence[str], farm: Farm) -> None:
        await super().reconfigService(builderNames)
        await self._turn.run(self._use, farm)
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
        if self._again is not None and self._again.active():
            self._again.cancel()
        for consumer in self._consumers:
            consumer.stopConsuming()
        self._consumers = []
        # what is under way finishes what it was writing
        await self._turn.run(lambda: None)

    def gotChange(self, change: Change, important: bool) -> defer.Deferred[None]:
        """A kernel or a module changed; what follows from that is the plan's to say."""
        self.wake()
        return defer.succeed(None)

    def wake(self) -> None:
        """Plans soon, once for all that happens until then."""
        self._plan_is_old = True
        self._go_on()

    def _go_on(self) -> None:
        if self._again is None or not self._again.active():
            self._again = self.master.reactor.callLater(_SOON, self._run)

    def _run(self) -> None:
        done = self._turn.run(lambda: defer.ensureDeferred(self._look()))
        done.addErrback(log.err, "while planning; planned again within a minute")

    def _complete(self, key: tuple[str, ...], message: dict[str, object]) -> None:
        name = str(message.get("external_idstring"))
        self._hurried.pop(name, None)
        if self.requests.ended(name):
            if name.startswith("image/"):
                self._plan_is_old = True
            else:
                self._ended.add(name.removeprefix(FORCED))
            self._go_on()

    def _cancelled(self, key: tuple[str, ...], message: dict[str, object]) -> None:
        """Somebody cancelled a request before it started, or it would be planned again at once."""
        done = self._turn.run(lambda: defer.ensureDeferred(self._note_cancelled(message["buildsetid"])))
        done.addErrback(log.err, "while noting that a request was cancelled")

    async def _note_cancelled(self, buildset: object) -> None:
        found = await self.master.data.get(("buildsets", str(buildset)))
        name = str(found["external_idstring"] or "").removeprefix(FORCED) if found else ""
        if name.count("/") == 2:
            await threads.deferToThread(self._hold_cancelled, BuildId.parse(name))

    def _hold_cancelled(self, name: BuildId) -> None:
        """In a thread."""
        job, before = self.farm.job(str(name)), self.farm.runs.hold(name)
        # one that was cancelled with its run is held already, and says so
        if before is None or before.tries or before.key != job.key:
            self.farm.hold_cancelled(job, "cancelled before it started")

    @property
    def _builders(self) -> VirtualBuilders:
        found: VirtualBuilders = self.master.service_manager.namedServices[VirtualBuilders.name]
        return found

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
                self._plan = await threads.deferToThread(self._make_plan)
                self._ready, self._planned_at = self._plan.ready, time.time()
                await self._builders.register(self._plan.entries)
                self.master.mq.produce(PLANNED, {})
        except KmodciError as error:
            self._plan_is_old = True
            log.msg(f"cannot plan now, tried again within a minute: {error}")
            return
        await self._fill()

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
            plan.due,
            plan.wanted,
            plan.keys,
            plan.outcomes,
            plan.holds,
            former=plan.former,
            skipped=plan.skipped,
        )
        return plan

    async def _fill(self) -> None:
        if shortage := self.farm.paths.shortage:
            log.msg(f"no more builds for now, looked at again within a minute: {shortage}")
            return
        for toolchain in self._plan.missing_images:
            await self.requests.ask(
                f"image/{toolchain}", "images", {"toolchain": toolchain}, "image missing", priority=IMAGE_PRIORITY
            )
        prefetch: Prefetch = self.master.service_manager.namedServices[Prefetch.name]
        room = self.farm.chunk_length - len(self.requests)
        for entry in self.ledger.left():
            if room <= 0:
                break
            name = str(entry.build_id)
            if name in self._ended:
                # meanwhile, and that is settled at the next look: asked for once more, what failed would be built again
                continue
            if entry.why is Why.FORCED:
                room -= await self._ask_again(name)
            elif (
                FORCED + name not in self.requests
                and (planned := self._ready.get(name))
                and planned.key == entry.key
                and await self.requests.ask(name, *_request(planned.entry), str(entry.why))
            ):
                prefetch.want(planned.entry.kernel)
                room -= 1

    async def _ask_again(self, name: str) -> bool:
        """A forced build whose request was lost with a master that was killed."""
        if FORCED + name in self.requests:
            return False
        entry = next((entry for entry in self._plan.entries if str(entry.build_id) == name), None)
        if entry is None:
            return False
        builder, wanted = _request(entry)
        return await self.requests.ask(
            FORCED + name, builder, wanted | {"rebuild": True}, "forced", priority=FORCED_PRIORITY
        )

    async def force(self, planned: Planned, ask: Callable[[str], Awaitable[Asked]]) -> Asked:
        """A person asks for a build of the matrix, which becomes a run of its own. ask: does it, in a given name."""
        name = FORCED + str(planned.entry.build_id)
        with self.requests.expected(name):
            await self._turn.run(threads.deferToThread, self._open_forced, planned)
            found = await ask(name)
            self.requests.asked(name, found[0])
        return found

    async def build_now(self, planned: Planned, *, by: str, rebuild: bool = False) -> None:
        """The same for a page or a program: what is queued overtakes the rest, what runs runs on. Returns once it is
        asked for.

        by: who asks, for the record; rebuild: also if it is built.
        """
        name, (builder, wanted) = str(planned.entry.build_id), _request(planned.entry)
        why = f"{_ASKED_BY}{by}"

        def ask(request: str) -> Awaitable[Asked]:
            more = {"rebuild": True} if rebuild else {}
            return self.requests.add(request, builder, wanted | more, why, priority=FORCED_PRIORITY)

        async def work() -> None:
            if FORCED + name in self.requests or (name in self._hurried and name in self.requests):
                return
            # between two fillings of the queue
            if not await self._turn.run(lambda: defer.ensureDeferred(self.requests.hurry(name, FORCED_PRIORITY))):
                await self.force(planned, ask)
            elif name in self.requests:
                self._hurried[name] = None

        # one after the other: who asks for the same meanwhile shall find it asked for
        await self._asking.run(lambda: defer.ensureDeferred(work()))

    async def asked_by(self) -> dict[str, str]:
        """Who asked for what has not ended yet, of what `build_now` has forced: by build id."""
        whys = await self.requests.reasons()
        return {
            name.removeprefix(FORCED): why.removeprefix(_ASKED_BY)
            for name, why in whys.items()
            if why.startswith(_ASKED_BY)
        }

    def is_asked_for(self, build_id: str) -> bool:
        """Whether there is a request for it that has not ended."""
        return build_id in self.requests or FORCED + build_id in self.requests

    async def cancel_run(self, run: str, *, by: str, stop: bool) -> None:
        """Cancels what of a run has not started; what runs may end, or is stopped as well. Raises NotFound."""

        async def work() -> None:
            await cancel_run(self.ledger, self.requests, run, by=by, stop=stop)

        await self._turn.run(lambda: defer.ensureDeferred(work()))
        self.wake()

    async def building(self) -> dict[str, str]:
        """What is running: build id -> address of the build; empty while this is not activated."""
        return await self.requests.building() if self._timer.running else {}

    @property
    def planned_at(self) -> float:
        """When the last plan was made, in seconds since the epoch; 0 before the first."""
        return self._planned_at

    @property
    def plan(self) -> Plan:
        """The last one."""
        return self._plan

    def places(self, running: Collection[str]) -> dict[str, int]:
        """Build id -> its place in the queue, from 1. running: build ids, which have none."""
        if not self._timer.running:
            return {}
        forced = [name.removeprefix(FORCED) for name in self.requests.names if name.startswith(FORCED)]
        first = [*forced, *(name for name in self._hurried if name in self.requests)]
        queue = [name for name in dict.fromkeys([*first, *self.ledger.names()]) if name not in running]
        return {name: place for place, name in enumerate(queue, 1)}

    def run_of(self, build_id: str) -> str:
        """The open run that it is part of; empty for none."""
        return self.ledger.run_of(build_id) if self._timer.running else ""

    @property
    def waiting(self) -> Mapping[str, str]:
        """Build id -> what it waits for, as the last plan has it."""
        return self._plan.waiting

    def _open_forced(self, planned: Planned) -> None:
        """In a thread."""
        self.farm.runs.release([planned.entry.build_id])
        self.ledger.open_forced(planned)


def _request(entry: Entry) -> tuple[str, dict[str, object]]:
    """The real builder and the properties that make it this entry's."""
    return entry.toolchain, properties(entry)
