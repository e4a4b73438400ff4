"""Work whose result several ask for at the same time is done once."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from twisted.internet import defer
from twisted.python.failure import Failure

Result = TypeVar("Result")


class Together(Generic[Result]):
    """From the reactor's thread only."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[defer.Deferred[Result]]] = {}

    async def run(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        """What the work returns or raises; where the same is under way already, what comes of that."""
        if (others := self._waiting.get(key)) is not None:
            waiting: defer.Deferred[Result] = defer.Deferred()
            others.append(waiting)
            return await waiting
        others = self._waiting[key] = []
        try:
            found = await work()
        except BaseException:
            failure = Failure()
            del self._waiting[key]
            for each in others:
                each.errback(failure)
            raise
        del self._waiting[key]
        for each in others:
            each.callback(found)
        return found
