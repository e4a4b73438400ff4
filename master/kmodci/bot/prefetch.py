"""Makes the header bundles of queued builds while others compile, so that no sandbox waits for one."""

from buildbot.util.service import BuildbotService
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, threads
from twisted.python import log

from ..errors import KmodciError
from ..farm import Farm
from ..model import Kernel

_AT_ONCE = 2


class Prefetch(BuildbotService):
    """Keeps a queue's length ahead. What cannot be had is left to the build's own step, which asks again and tells."""

    name = "prefetch"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)
        self._turns = defer.DeferredSemaphore(_AT_ONCE)
        self._wanted: set[str] = set()

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self.farm = farm
        return defer.succeed(None)

    def want(self, kernel: Kernel) -> None:
        """Says that this kernel's header bundle will be needed soon. Returns at once."""
        if kernel.headers_digest not in self._wanted:
            self._wanted.add(kernel.headers_digest)
            self._turns.run(self._fetch, kernel).addErrback(log.err, f"while fetching the headers of {kernel}")

    @async_to_deferred
    async def _fetch(self, kernel: Kernel) -> None:
        try:
            if self.running:
                supply, engines = self.farm.supply, self.farm.engines
                # unpacked only for who mounts them
                get = supply.headers if engines.any_on_this_machine else supply.bundle
                await threads.deferToThread(get, kernel, engines.runs_on(kernel))
        except KmodciError as error:
            log.msg(f"not fetched ahead: the headers of {kernel}: {error.brief}")
        finally:
            self._wanted.discard(kernel.headers_digest)

    @async_to_deferred
    async def stopService(self) -> None:
        await super().stopService()
        # what is under way ends first; what waits for its turn then sees that there is none
        for _ in range(_AT_ONCE):
            await self._turns.acquire()
