"""What nodes read of the bucket, below /kmodci/files: for a farm whose bucket they cannot reach.

Nothing can be written or listed here. An object goes from the S3 server to the reader piece by piece, as fast as the
reader takes it.
"""

from collections import Counter
from collections.abc import Callable

from twisted.internet import defer, reactor, threads
from twisted.internet.interfaces import IPushProducer
from twisted.python import log
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from ..bucket import Bucket, Opened
from ..errors import StoreError
from ..keys import check_public
from ..ratelimit import Network, asker
from ..release import BadName
from .origin import header

_PIECE = 256 << 10
_AT_ONCE, _EACH = 64, 16
# of the master's, which builds need too
_THREADS = 6
# bytes a second
_SLOWEST = 16 << 10
# of a list of addresses, from its end
_LONGEST = 500
# seconds that a reader may take for a piece
_PATIENCE = 60
_TEXT = "text/plain; charset=utf-8"


class Files(Resource):
    """Answers GET and HEAD of a key."""

    isLeaf = True

    def __init__(
        self,
        bucket: Bucket,
        *,
        at_once: int = _AT_ONCE,
        each: int = _EACH,
        slowest: int = _SLOWEST,
        proxies: tuple[Network, ...] = (),
        may_read: Callable[[Request], bool] = lambda request: True,
    ) -> None:
        """at_once: how many are sent at once; each: how many of these to one address; slowest: bytes a second that a
        reader takes at least, on the whole; proxies: who may say whom they ask for; may_read: whether who asks may
        read at all."""
        super().__init__()
        self._may_read, self._proxies = may_read, proxies
        self._bucket, self._free = bucket, at_once
        self._each, self._slowest = each, slowest
        self._readers: Counter[str] = Counter()
        self._threads = defer.DeferredSemaphore(_THREADS)

    def render_GET(self, request: Request) -> int:
        request.setHeader("X-Content-Type-Options", "nosniff")
        # the key of an index object stays, its content does not
        request.setHeader("Cache-Control", "no-cache")
        if not self._may_read(request):
            request.setHeader("WWW-Authenticate", "Bearer")
            _refuse(
                request, http.UNAUTHORIZED, "to read here takes a token, or a browser in which somebody has logged in"
            )
            return NOT_DONE_YET
        answered = defer.ensureDeferred(self._answer(request))
        answered.addErrback(log.err, "while sending an object of the bucket")
        return NOT_DONE_YET

    async def _answer(self, request: Request) -> None:
        try:
            key = check_public("/".join(part.decode("ascii") for part in request.postpath))
        except (BadName, UnicodeDecodeError):
            return _refuse(request, http.NOT_FOUND, "there is no such file")
        forwarded = header(request, "X-Forwarded-For")[-_LONGEST:] if self._proxies else ""
        who = asker(request.getClientAddress().host, forwarded, self._proxies)
        if not self._free or self._readers[who] >= self._each:
            request.setHeader("Retry-After", "2")
            return _refuse(request, http.SERVICE_UNAVAILABLE, "too many files are being read")
        self._free -= 1
        self._readers[who] += 1
        try:
            await self._send(request, _Reader(request), key)
        finally:
            self._free += 1
            self._readers[who] -= 1
            if not self._readers[who]:
                del self._readers[who]
        return None

    async def _send(self, request: Request, reader: "_Reader", key: str) -> None:
        only_look = request.method == b"HEAD"
        try:
            found = await self._threads.run(threads.deferToThread, self._bucket.open, key, only_look=only_look)
        except StoreError as error:
            log.msg(f"{key} cannot be sent: {error}")
            return reader.refuse(http.SERVICE_UNAVAILABLE, "the bucket does not answer just now")
        if found is None:
            return reader.refuse(http.NOT_FOUND, "there is no such file")
        try:
            if not reader.is_gone:
                request.setHeader("Content-Type", found.type)
                if request.setETag(found.etag.encode()) is not http.CACHED:
                    request.setHeader("Content-Length", str(found.size))
                    if not only_look:
                        await reader.send(found, self._threads, _PATIENCE + found.size / self._slowest)
                reader.end()
        except (StoreError, defer.TimeoutError) as error:
            log.msg(f"{key}: {error or 'its reader takes nothing any more'}")
            # what has been sent cannot be taken back: only that it is too short tells the reader
            reader.abort()
        finally:
            found.close()
        return None


@implementer(IPushProducer)
class _Reader:
    """Who asked: takes pieces, or has left."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.is_gone = False
        self._paused: defer.Deferred[None] | None = None
        request.notifyFinish().addErrback(self._left)

    async def send(self, found: Opened, turn: defer.DeferredSemaphore, longest: float) -> None:
        """turn: for a thread; longest: seconds that all of it may take. Raises StoreError, TimeoutError."""
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
                    await self._paused.addTimeout(max(0.0, min(_PATIENCE, end - reactor.seconds())), reactor)
        finally:
            if not self.is_gone:
                self._request.unregisterProducer()

    def refuse(self, status: int, why: str) -> None:
        if not self.is_gone:
            _refuse(self._request, status, why)

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


def _refuse(request: Request, status: int, why: str) -> None:
    request.setResponseCode(status)
    request.setHeader("Content-Type", _TEXT)
    body = f"{why}\n".encode()
    request.setHeader("Content-Length", str(len(body)))
    if request.method != b"HEAD":
        request.write(body)
    request.finish()
