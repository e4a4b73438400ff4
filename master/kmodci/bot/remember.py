"""Has in the bucket what only the database knows: every ten minutes if that is something else, and at a stop."""

from twisted.internet import defer, threads

from ..farm import Farm
from ..memory import Memory
from .services import TimedService


class MemoryKeeper(TimedService):
    """One that is lost with its machine has lost ten minutes of what is not published."""

    name = "memory-keeper"
    every = 600.0
    # what is known at a start, the bucket has, or nobody knows
    at_start = False
    at_stop = True
    doing = "writing down what is known"
    fault = "what is known is not written down"

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self._memory = Memory(farm.store, farm.bucket)
        return defer.succeed(None)

    async def work(self) -> None:
        await threads.deferToThread(self._memory.write)
