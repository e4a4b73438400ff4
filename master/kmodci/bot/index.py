"""Writes the index of each module version a few times a minute, not once per build, and the lists of kernels."""

from collections.abc import Mapping

from buildbot.util.service import BuildbotService
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, task, threads
from twisted.python import log

from ..errors import KmodciError
from ..farm import Farm
from ..listing import write_kernel_lists
from .schedulers import CHANGED

_EVERY = 10.0


class IndexWriter(BuildbotService):
    """What an earlier master had published and not yet indexed is known from the start (`recovery.catch_up`)."""

    name = "index-writer"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)
        self._timer = task.LoopingCall(self._write)
        self._kernels_changed = True

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self.farm = farm
        # others may be in scope
        self._kernels_changed = True
        return defer.succeed(None)

    @async_to_deferred
    async def startService(self) -> None:
        await super().startService()
        self._consumer = await self.master.mq.startConsuming(self._note, CHANGED)
        self._timer.start(_EVERY, now=True)

    @async_to_deferred
    async def stopService(self) -> None:
        await super().stopService()
        if self._timer.running:
            self._timer.stop()
        self._consumer.stopConsuming()
        await self._write()

    def _note(self, key: object, message: Mapping[str, object]) -> None:
        # what else changes is a module, or what is known of a kernel that was listed before
        self._kernels_changed |= "repository" in message

    @async_to_deferred
    async def _write(self) -> None:
        try:
            await threads.deferToThread(self.farm.publisher.write_indices)
            if self._kernels_changed:
                self._kernels_changed = False
                await self._write_kernels()
        except KmodciError as error:
            log.msg(f"the index is behind, tried again in {_EVERY:.0f} s: {error}")

    async def _write_kernels(self) -> None:
        try:
            await threads.deferToThread(write_kernel_lists, self.farm)
        except KmodciError:
            self._kernels_changed = True
            raise
