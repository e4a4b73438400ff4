"""Files to whoever reads them: piece by piece, as fast as the reader takes it, and not to too many at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from twisted.internet import defer, reactor, threads
from twisted.internet.interfaces import IPushProducer
from twisted.web.server import Request
from zope.interface import implementer

from ..ratelimit import Network, asker
from .origin import header

_PIECE = 256 << 10
# of a list of addresses, from its end
_LONGEST = 500
PATIENCE = 60
"""seconds that a reader may take for a piece"""
SLOWEST = 16 << 10
"""bytes a second that a reader takes at least, on the whole"""


class Readable(Protocol):
    """What is sent; read in threads, one piece after the other."""

    @property
    def size(self) -> int: ...
    def read(self, size: int) -> bytes: ...


class Places:
    """For so many readers at once, of whom so many may be of one address."""

    def __init__(self, at_once: int, each: int, proxies: tuple[Network, ...] = ()) -> None:
        """proxies: who may say whom they ask for."""
        self._free, self._each, self._proxies = at_once, each, proxies
        self._readers: Counter[str] = Counter()

    @contextmanager
    def taken(self, request: Request) -> Iterator[bool]:
        """One, while the block runs; False if there is none for who asks."""
        forwarded = header(request, "X-Forwarded-For")[-_LONGEST:] if self._proxies else ""
        who = asker(request.getClientAddress().host, forwarded, self._proxies)
        if not self._free or self._readers[who] >= self._each:
            yield False
            return
        self._free -= 1
        self._readers[who] += 1
        try:
            yield True
        finally:
            self._free += 1
            self._readers[who] -= 1
            if not self._readers[who]:
                del self._readers[who]


@implementer(IPushProducer)
class Reader:
    """Who asked: takes pieces, or has left."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.is_gone = False
        self._paused: defer.Deferred[None] | None = None
        request.notifyFinish().addErrback(self._left)

    async def send(self, found: Readable, turn: defer.DeferredSemaphore, longest: float) -> None:
        """turn: for a thread; longest: seconds that all of it may take. Raises TimeoutError, and what reading does."""
        self._request.registerProducer(self, True)
        end, left = reactor.seconds() + longest, found.size
        try:
            # its place is free before its reader, who has all of it, can ask for the next
            while (
                left > 0 and not self.is_gone and (piece := await turn.run(threads.deferToThread, found.read, _PIECE))
            ):
                left -= len(piece)
                if not self.is_gone:
                    self._request.write(piece)
                if self._paused is not None and not self.is_gone:
                    # who takes a byte now and then holds a place as well as who takes none
                    await self._paused.addTimeout(max(0.0, min(PATIENCE, end - reactor.seconds())), reactor)
        finally:
            if not self.is_gone:
                self._request.unregisterProducer()

    def answer(self, status: int, body: bytes, content_type: str) -> None:
        """All that there is to say."""
        if not self.is_gone:
            answer(self._request, status, body, content_type)

    def end(self) -> None:
        if not self.is_gone:
            self._request.finish()

    def abort(self) -> None:
        if not self.is_gone and self._request.transport is not None:
            self._request.transport.abortConnection()

    def _left(self, reason: object) -> None:
        self.is_gone = True
        self.resumeProducing()

    def pauseProducing(self) -> None:
        if self._paused is None:
            self._paused = defer.Deferred()

    def resumeProducing(self) -> None:
        paused, self._paused = self._paused, None
        if paused is not None and not paused.called:
            paused.callback(None)

    def stopProducing(self) -> None:
        self._left(None)


def answer(request: Request, status: int, body: bytes, content_type: str) -> None:
    """Ends a request that nothing was sent of yet."""
    request.setResponseCode(status)
    request.setHeader("Content-Type", content_type)
    request.setHeader("Content-Length", str(len(body)))
    if request.method != b"HEAD":
        request.write(body)
    request.finish()
