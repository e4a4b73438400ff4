"""What services of the master have in common: a timer, events that they listen to, and how one is found."""

from collections.abc import Awaitable, Callable
from typing import ClassVar, TypeVar

from buildbot.master import BuildMaster
from buildbot.mq.base import QueueRef
from buildbot.util.service import BuildbotService
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, task
from twisted.python import log

from ..errors import KmodciError

Kind = TypeVar("Kind", bound=BuildbotService)


class TimedService(BuildbotService):
    """Does its `work` every so often from its start to its stop, whatever became of it the last time."""

    every: ClassVar[float]
    """seconds"""
    at_start: ClassVar[bool] = True
    at_stop: ClassVar[bool] = False
    """whether it works then as well"""
    doing: ClassVar[str]
    """what the log calls it, after `while`"""
    fault: ClassVar[str] = ""
    """what the log says when `work` raises KmodciError; `doing`, if not said"""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._timer = repeated(self._work, self.doing)
        self._consumers: list[QueueRef] = []

    @async_to_deferred
    async def startService(self) -> None:
        await super().startService()
        await self.listen()
        self._timer.start(self.every, now=self.at_start)

    @async_to_deferred
    async def stopService(self) -> None:
        await super().stopService()
        if self._timer.running:
            self._timer.stop()
        for consumer in self._consumers:
            consumer.stopConsuming()
        if self.at_stop:
            await self._work()

    async def listen(self) -> None:
        """Where subclasses say `on` for each kind of event that they listen to."""

    async def on(self, key: tuple[str | None, ...], told: Callable[..., None]) -> None:
        """told: is called with the key and the message of each event whose key is like this, until the stop."""
        self._consumers.append(await self.master.mq.startConsuming(told, key))

    async def work(self) -> None:
        """May raise KmodciError where something does not answer."""
        raise NotImplementedError

    async def _work(self) -> None:
        try:
            await self.work()
        except KmodciError as error:
            log.msg(f"{self.fault or self.doing}, tried again in {self.every:.0f} s: {error}")


def repeated(work: Callable[..., Awaitable[None]], doing: str, *arguments: object) -> task.LoopingCall:
    """A loop of Twisted's ends at its first error; this one logs it and goes on. doing: what the log calls it."""
    return task.LoopingCall(lambda: defer.maybeDeferred(work, *arguments).addErrback(log.err, f"while {doing}"))


def service_of(master: BuildMaster, kind: type[Kind]) -> Kind:
    """The one of a kind whose `name` is the class's. Raises KeyError while there is none."""
    found: Kind = master.service_manager.namedServices[kind.name]
    return found
