"""Removes containers that no worker of this master owns, at start and every minute.

They are left by a master that was killed, and by an engine that did not answer when a worker's container was to go.
"""

from buildbot.worker.latent import States
from twisted.internet import defer, threads
from twisted.python import log

from ..farm import Farm
from .services import TimedService
from .workers import SandboxWorker


class Sweeper(TimedService):
    """Sweeps what has this farm's label and no owner."""

    name = "sweeper"
    every = 60.0
    doing = "sweeping"
    fault = "containers are not swept"

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self.farm = farm
        return defer.succeed(None)

    def _is_owned(self, container: str) -> bool:
        """Called in a thread, for a container that exists: its worker was in a state to have one before it was made."""
        workers = list(self.master.workers.workers.values())
        mine = (worker for worker in workers if isinstance(worker, SandboxWorker))
        return any(w.state is not States.NOT_SUBSTANTIATED and w.getContainerName() == container for w in mine)

    async def work(self) -> None:
        sweep = self.farm.engines.sweep
        gone = await threads.deferToThread(sweep, keep=self._is_owned, bundle=self.farm.bundles.place)
        if gone:
            log.msg(f"removed {gone} containers that no worker owned")
