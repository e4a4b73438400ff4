"""Has in the bucket what only the database knows: every ten minutes if that is something else, and at a stop."""

from buildbot.util.service import BuildbotService
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, task, threads
from twisted.python import log

from ..errors import KmodciError
from ..farm import Farm
from ..memory import Memory

_EVERY = 600.0


class MemoryKeeper(BuildbotService):
    """One that is lost with its machine has lost ten minutes of what is not published."""

    name = "memory-keeper"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)
        # a loop ends at its first error, which this one is not to
        self._timer = task.LoopingCall(lambda: self._write().addErrback(log.err, "while writing down what is known"))

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self._memory = Memory(farm.store, farm.bucket)
        return defer.succeed(None)

    @async_to_deferred
    async def startService(self) -> None:
        await super().startService()
        # what is known at a start, the bucket has, or nobody knows
        self._timer.start(_EVERY, now=False)

    @async_to_deferred
    async def stopService(self) -> None:
        await super().stopService()
        if self._timer.running:
            self._timer.stop()
        await self._write()

    @async_to_deferred
    async def _write(self) -> None:
        try:
            await threads.deferToThread(self._memory.write)
        except KmodciError as error:
            log.msg(f"what is known is not written down, tried again in {_EVERY:.0f} s: {error}")
