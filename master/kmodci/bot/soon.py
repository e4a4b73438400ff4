"""Something that many want done soon, and that is done once for all of them."""

from collections.abc import Awaitable, Callable

from buildbot.util.service import BuildbotService
from twisted.internet import defer
from twisted.internet.interfaces import IDelayedCall
from twisted.python import log


class Soon:
    """Does its work a moment after it is wanted, once for all who want it until then, and once more for who wants it
    while it is done. Its errors are logged.
    """

    def __init__(
        self, service: BuildbotService, work: Callable[[], Awaitable[None]], *, within: float, doing: str
    ) -> None:
        """service: by whose master's clock it goes; within: seconds; doing: what the log calls it."""
        self._service, self._work = service, work
        self._within, self._doing = within, doing
        self._call: IDelayedCall | None = None
        self.turn = defer.DeferredLock()
        """for who may not do something else meanwhile"""

    def want(self) -> None:
        """Returns at once."""
        if self._call is None or not self._call.active():
            self._call = self._service.master.reactor.callLater(self._within, self._run)

    def _run(self) -> None:
        self.turn.run(self._work).addErrback(log.err, f"while {self._doing}")

    async def stop(self) -> None:
        """What is under way finishes what it was writing; what is wanted is not done any more."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        await self.turn.run(lambda: None)
