"""Writes the index of each module version a few times a minute, rather than once per build."""

from buildbot.util.service import BuildbotService
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, task, threads
from twisted.python import log

from ..errors import KmodciError
from ..farm import Farm

_EVERY = 10.0


class IndexWriter(BuildbotService):
    """What an earlier master had published and not yet indexed is known from the start (`recovery.catch_up`)."""

    name = "index-writer"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)
        self._timer = task.LoopingCall(self._write)

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
        await self._write()

    @async_to_deferred
    async def _write(self) -> None:
        try:
            await threads.deferToThread(self.farm.publisher.write_indices)
        except KmodciError as error:
            log.msg(f"the index is behind, tried again in {_EVERY:.0f} s: {error}")
