"""Writes the index of each module version a few times a minute, not once per build, and the lists of kernels."""

from collections.abc import Mapping

from twisted.internet import defer, threads

from ..errors import KmodciError
from ..farm import Farm
from ..listing import write_kernel_lists
from .events import CHANGED
from .services import TimedService


class IndexWriter(TimedService):
    """What an earlier master had published and not yet indexed is known from the start (`recovery.catch_up`)."""

    name = "index-writer"
    every = 10.0
    at_stop = True
    doing = "writing the index"
    fault = "the index is behind"

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self.farm = farm
        # others may be in scope
        self._kernels_changed = True
        return defer.succeed(None)

    async def listen(self) -> None:
        await self.on(CHANGED, self._note)

    def _note(self, key: object, message: Mapping[str, object]) -> None:
        # what else changes is a module, or what is known of a kernel that was listed before
        self._kernels_changed |= "repository" in message

    async def work(self) -> None:
        await threads.deferToThread(self.farm.publisher.write_indices)
        if self._kernels_changed:
            self._kernels_changed = False
            await self._write_kernels()

    async def _write_kernels(self) -> None:
        try:
            await threads.deferToThread(write_kernel_lists, self.farm)
        except KmodciError:
            self._kernels_changed = True
            raise
