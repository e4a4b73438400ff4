"""Looks for what is called nearly as somebody said: among thousands of names that takes a hundredth of a second, and
the reactor answers nobody meanwhile. So a thread does it, for one after the other.
"""

from collections.abc import Callable
from typing import TypeVar

from twisted.internet import defer, threads

from ..errors import KmodciError

Found = TypeVar("Found")
_WAITING = 16
_turn = defer.DeferredLock()


async def search(work: Callable[..., Found], *arguments: object) -> Found:
    """What the work returns or raises. Raises KmodciError where too many wait for theirs."""
    if len(_turn.waiting) >= _WAITING:
        raise KmodciError("too much is looked for at once", hint="try again in a while")
    return await _turn.run(threads.deferToThread, work, *arguments)
