"""Removes containers that no worker of this master owns, at start and every minute.

They are left by a master that was killed, and by an engine that did not answer when a worker's container was to go.
"""

from buildbot.util.service import BuildbotService
from buildbot.util.twisted import async_to_deferred
from buildbot.worker.latent import States
from twisted.internet import defer, task, threads
from twisted.python import log

from ..errors import KmodciError
from ..farm import Farm
from .workers import SandboxWorker

_EVERY = 60.0


class Sweeper(BuildbotService):
    """Sweeps what has this farm's label and no owner."""

    name = "sweeper"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)
        # a loop ends at its first error, which this one is not to
        self._timer = task.LoopingCall(lambda: self._sweep().addErrback(log.err, "while sweeping"))

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self.farm = farm
        return defer.succeed(None)

    @async_to_deferred
    async def startService(self) -> None:
        await super().startService()
        self._timer.start(_EVERY, now=True)

    @async_to_deferred
    async def stopService(self) -> None:
        await super().stopService()
        if self._timer.running:
            self._timer.stop()

    def _is_owned(self, container: str) -> bool:
        """Called in a thread, for a container that exists: its worker was in a state to have one before it was made."""
        workers = list(self.master.workers.workers.values())
        mine = (worker for worker in workers if isinstance(worker, SandboxWorker))
        return any(w.state is not States.NOT_SUBSTANTIATED and w.getContainerName() == container for w in mine)

    @async_to_deferred
    async def _sweep(self) -> None:
        try:
            sweep = self.farm.engines.sweep
            gone = await threads.deferToThread(sweep, keep=self._is_owned, bundle=self.farm.bundles.place)
        except KmodciError as error:
            log.msg(f"containers are not swept, tried again in {_EVERY:.0f} s: {error}")
            return
        if gone:
            log.msg(f"removed {gone} containers that no worker owned")
