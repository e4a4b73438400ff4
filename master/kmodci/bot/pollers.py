"""The change sources: one poller per repository, one per module that no repository lists.

A poll looks, tells (one Change per kernel), and only then remembers: after a crash in between it
tells again, and the plan finds what is built already. A source that cannot be read keeps its last
good kernels; that it could not be read is written down for all to see.
"""

import math
import time
import zlib
from collections.abc import Sequence

from buildbot.changes.base import ReconfigurablePollingChangeSource
from buildbot.util.twisted import async_to_deferred
from twisted.internet import threads
from twisted.python import log

from ..errors import KmodciError
from ..farm import Farm
from ..model import Kernel, ModuleVersion
from ..quantities import growing
from .events import CHANGED

# More new kernels than these at once are a first look at a repository: one Change tells of all.
_ONE_BY_ONE = 40
_LONGEST_PAUSE = 3600.0


class FarmPoller(ReconfigurablePollingChangeSource):
    """What both kinds share: interval, jitter, and a pause that grows while a source cannot be read."""

    def __init__(self, name: str, farm: Farm) -> None:
        self._faults = 0
        self._not_before = 0.0
        super().__init__(name=name, farm=farm)

    def checkConfig(self, farm: Farm) -> None:
        super().checkConfig(name=self.name, **self._times(farm))

    @async_to_deferred
    async def reconfigService(self, farm: Farm) -> None:
        self.farm = farm
        await super().reconfigService(name=self.name, **self._times(farm))
        if self.doPoll.running:
            # what is looked for may be new, or mended: not in five minutes, nor after a pause, but now
            self._not_before = 0.0
            self.force()

    def _times(self, farm: Farm) -> dict[str, object]:
        # Buildbot's own jitter also delays the first poll, which somebody is waiting for. An interval that is
        # each poller's own does as well, and is the same after a restart.
        jitter = zlib.crc32(self.name.encode()) % (farm.settings.poll.jitter + 1)
        return {"pollInterval": farm.settings.poll.interval + jitter, "pollAtLaunch": True}

    @async_to_deferred
    async def poll(self) -> None:
        if time.monotonic() < self._not_before and not await self._is_accepted():
            return
        try:
            await self.look()
            self._faults, self._not_before = 0, 0.0
        except KmodciError as error:
            self._faults += 1
            # a poll comes a little early or late, and the first one after a fault shall not be missed for that
            early = self.farm.settings.poll.interval / 2
            pause = min(growing(2 * early, self._faults, math.inf) - early, _LONGEST_PAUSE)
            self._not_before = time.monotonic() + pause
            log.msg(f"{self.name}: {error}", source=self.name)
            await threads.deferToThread(self.farm.watch.note_fault, self.name, error)

    async def _is_accepted(self) -> bool:
        """A person need not wait for a pause to end."""
        try:
            return bool(await threads.deferToThread(self.farm.watch.is_accepted, self.name))
        except KmodciError as error:
            log.msg(f"{self.name}: {error}", source=self.name)
            return False

    async def look(self) -> None:
        """One look at the source. Raises KmodciError."""
        raise NotImplementedError

    async def tell(self, what: str, lines: Sequence[str], revision: str, repository: str) -> None:
        await self.master.data.updates.addChange(
            author="kmodci",
            comments="\n".join([what, *lines]),
            revision=revision[:250],
            category=what.split(" ")[0],
            project="kmodci",
            repository=repository,
            files=list(lines[:_ONE_BY_ONE]),
            properties={},
        )


class RepositoryPoller(FarmPoller):
    """Polls one repository for kernels, and for the modules that it packages."""

    async def look(self) -> None:
        found = await threads.deferToThread(self.farm.watch.look, self.name)
        if not found.changed:
            return
        if found.believed:
            log.msg(f"{self.name} is taken at its word: {found.believed}", source=self.name)
        await self._tell_kernels(found.new, "kernel")
        await self._tell_kernels(found.updated, "kernel updated")
        await self._tell_kernels(found.gone, "kernel gone")
        await self._tell_kernels(found.back, "kernel back")
        for module in found.modules:
            await self.tell(f"module {module.module} {module.version}", [module.origin], module.version, self.name)
        await threads.deferToThread(self.farm.watch.remember, found)
        self.master.mq.produce(CHANGED, {"repository": self.name})

    async def _tell_kernels(self, kernels: Sequence[Kernel], what: str) -> None:
        if len(kernels) > _ONE_BY_ONE:
            await self.tell(f"{what}: {len(kernels)} found", [str(k) for k in kernels], str(len(kernels)), self.name)
            return
        for kernel in kernels:
            await self.tell(f"{what} {kernel}", [str(kernel), kernel.version], kernel.version, self.name)


class ModulePoller(FarmPoller):
    """Polls the source of one module: git, a tarball, a folder."""

    async def look(self) -> None:
        module: ModuleVersion | None = await threads.deferToThread(self.farm.watch.look_at_module, self.name)
        if module is None:
            return
        await self.tell(f"module {module.module} {module.version}", [module.origin], module.version, module.origin)
        await threads.deferToThread(self.farm.watch.remember_module, module)
        self.master.mq.produce(CHANGED, {"module": self.name})
