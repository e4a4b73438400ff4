"""What nodes read of the bucket, below /kmodci/files: for a farm whose bucket they cannot reach.

Nothing can be written or listed here. An object goes from the S3 server to the reader piece by piece, as fast as the
reader takes it.
"""

from collections.abc import Callable

from twisted.internet import defer, threads
from twisted.python import log
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from ..bucket import Bucket
from ..errors import StoreError
from ..keys import check_public
from ..ratelimit import Network
from ..release import BadName
from .streaming import PATIENCE, SLOWEST, Places, Reader, answer

_AT_ONCE, _EACH = 64, 16
# of the master's, which builds need too
_THREADS = 6
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
        proxies: tuple[Network, ...] = (),
        may_read: Callable[[Request], bool] = lambda request: True,
    ) -> None:
        """at_once: how many are sent at once; each: how many of these to one address; proxies: who may say whom they
        ask for; may_read: whether who asks may read at all."""
        super().__init__()
        self._may_read, self._bucket = may_read, bucket
        self._places = Places(at_once, each, proxies)
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
        with self._places.taken(request) as is_free:
            if is_free:
                return await self._send(request, Reader(request), key)
        request.setHeader("Retry-After", "2")
        return _refuse(request, http.SERVICE_UNAVAILABLE, "too many files are being read")

    async def _send(self, request: Request, reader: Reader, key: str) -> None:
        only_look = request.method == b"HEAD"
        try:
            found = await self._threads.run(threads.deferToThread, self._bucket.open, key, only_look=only_look)
        except StoreError as error:
            log.msg(f"{key} cannot be sent: {error}")
            return reader.answer(http.SERVICE_UNAVAILABLE, b"the bucket does not answer just now\n", _TEXT)
        if found is None:
            return reader.answer(http.NOT_FOUND, b"there is no such file\n", _TEXT)
        try:
            if not reader.is_gone:
                request.setHeader("Content-Type", found.type)
                if request.setETag(found.etag.encode()) is not http.CACHED:
                    request.setHeader("Content-Length", str(found.size))
                    if not only_look:
                        await reader.send(found, self._threads, PATIENCE + found.size / SLOWEST)
                reader.end()
        except (StoreError, defer.TimeoutError) as error:
            log.msg(f"{key}: {error or 'its reader takes nothing any more'}")
            # what has been sent cannot be taken back: only that it is too short tells the reader
            reader.abort()
        finally:
            found.close()
        return None


def _refuse(request: Request, status: int, why: str) -> None:
    answer(request, status, f"{why}\n".encode(), _TEXT)
