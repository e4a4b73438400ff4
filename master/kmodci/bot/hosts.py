"""Which worker a build goes to, and the watch over the hosts: one that does not answer gets none, until it is back."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from buildbot.master import BuildMaster
from buildbot.process.builder import Builder
from buildbot.process.buildrequest import BuildRequest
from buildbot.process.workerforbuilder import AbstractWorkerForBuilder
from buildbot.util.service import BuildbotService
from buildbot.util.twisted import async_to_deferred
from buildbot.worker.latent import States
from twisted.internet import task, threads
from twisted.python import log
from twisted.python.threadpool import ThreadPool

from ..farm import Farm
from ..hosts import HostState, Room
from ..hostview import HostView, views
from ..model import BuildId
from .services import repeated
from .workers import SandboxWorker

_EVERY = 10.0


class NextWorker:
    """What Buildbot asks for the worker that takes a request; None while that has to wait."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm

    def __call__(
        self, builder: Builder, free: Sequence[AbstractWorkerForBuilder], request: BuildRequest
    ) -> AbstractWorkerForBuilder | None:
        farm = self._farm
        counts = Counter(each.worker.host.name for each in free)
        rooms = {name: Room(workers=farm.workers(name), free=count) for name, count in counts.items()}
        build_id = BuildId.parse(request.properties.getProperty("virtual_builder_name"))
        host = farm.planner.host_for(build_id, builder.name, rooms)
        return next((each for each in free if each.worker.host.name == host), None)


def hosts_seen(master: BuildMaster, farm: Farm) -> tuple[HostView, ...]:
    """All hosts, as they are now; nobody is asked for it."""
    workers = (w for w in master.workers.workers.values() if isinstance(w, SandboxWorker))
    return views(
        farm.engines.hosts,
        {name: farm.engines.state(name) for name in farm.engines},
        workers={name: farm.workers(name) for name in farm.engines},
        running=Counter(w.host.name for w in workers if w.state is not States.NOT_SUBSTANTIATED),
        images=frozenset(made.tag for made in farm.images.values()),
    )


class HostWatch(BuildbotService):
    """Asks each engine now and then how it is, in threads of its own: one that hangs holds up nobody."""

    name = "hosts"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)
        self._timers: list[task.LoopingCall] = []
        self._pool: ThreadPool | None = None

    @async_to_deferred
    async def reconfigService(self, farm: Farm) -> None:
        await self._stop()
        self.farm = farm
        if self.running:
            self._start()

    @async_to_deferred
    async def startService(self) -> None:
        await super().startService()
        if not self._timers:
            self._start()

    @async_to_deferred
    async def stopService(self) -> None:
        await super().stopService()
        await self._stop()

    def _start(self) -> None:
        names = list(self.farm.engines)
        self.farm.engines.on_change = partial(self.master.reactor.callFromThread, self._tell)
        self._pool = ThreadPool(0, len(names), name="hosts")
        self._pool.start()
        for name in names:
            timer = repeated(self._look, f"looking at host {name}", self.farm, name)
            timer.start(_EVERY, now=True)
            self._timers.append(timer)

    async def _stop(self) -> None:
        for timer in self._timers:
            timer.stop()
        self._timers = []
        if self._pool is not None:
            # waits for what asks just now, which has its time limit
            pool, self._pool = self._pool, None
            await threads.deferToThread(pool.stop)

    async def _look(self, farm: Farm, name: str) -> None:
        await threads.deferToThreadPool(self.master.reactor, self._pool, farm.engines.look, name)

    def _tell(self, name: str, state: HostState) -> None:
        """Once for each time that it goes or comes back, whoever has noticed."""
        if state.is_away:
            log.msg(f"host {name} is away, its builds go elsewhere: {state.fault}", host=name)
            return
        log.msg(f"host {name} is back", host=name)
        for worker in self.master.workers.workers.values():
            if isinstance(worker, SandboxWorker) and worker.host.name == name:
                worker.resetQuarantine()
                worker.stopQuarantineTimer()
                worker.botmaster.maybeStartBuildsForWorker(worker.name)
