"""What of Buildbot's web server is changed: 4.3.0 streams every event to anyone under /sse, loses answers, takes bodies
of any size, and has no place for an API beside its own."""

import json

from buildbot.master import BuildMaster
from buildbot.www import rest, sse
from buildbot.www.rest import RestRootResource, V2RootResource
from buildbot.www.service import BuildbotSite
from twisted.internet import reactor
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

BODY_LIMIT = 32 << 20
"""bytes: GitHub's hooks send up to 25 MB; the API takes much less"""


class ClosedEvents(Resource):
    """Answers 404 to everything. The UI uses /ws, which asks who is there."""

    def __init__(self, master: BuildMaster) -> None:
        super().__init__()

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()

    def render(self, request: Request) -> bytes:
        return notFound().render(request)


def close_event_stream() -> None:
    """Before the site is made. /sse is not under `authz`: with it, all could read all that is private."""
    sse.EventResource = ClosedEvents


def answer_from_the_reactor() -> None:
    """REST encodes its answers in a thread, and writes them from there as well, which a transport is not made for.

    Now and then an answer had no body (https://github.com/buildbot/buildbot/pull/8224).
    """
    V2RootResource._write_json_data = staticmethod(_encode)


class _Apis(RestRootResource):
    """Buildbot's own at /api, and beside it the farm's."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        """Looked up at each request: a farm that is configured anew has another."""
        site = self.master.service_manager.namedServices.get("site")
        return site.api.root if path == b"kmodci" and site else super().getChild(path, request)


class _BoundedRequest(Request):
    """Answers 413 to a body that is too long as soon as it is known to be, and reads no more of it."""

    _has = 0

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        if length and length > BODY_LIMIT:
            self._refuse()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if path.startswith(b"/api/kmodci/"):
            # no form is taken there, and to find out that it is none takes as long as all the rest of an answer
            self._parsePOSTFormSubmission = False
        super().requestReceived(command, path, version)

    def handleContentChunk(self, data: bytes) -> None:
        self._has += len(data)
        if self._has <= BODY_LIMIT:
            super().handleContentChunk(data)
        else:
            # of a chunked one
            self._refuse()

    def _refuse(self) -> None:
        if self.channel is not None:
            self.channel.transport.write(
                b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            self.channel.loseConnection()


def open_own_api() -> None:
    """Before the site is made: it puts its own resource at /api when it is, after the farm's services were started."""
    rest.RestRootResource = _Apis
    BuildbotSite.requestFactory = _BoundedRequest


def _encode(request: Request, encoder: json.JSONEncoder, data: object) -> None:
    """In a thread. What is asked of the reactor here is done before it hears that this has ended."""
    reactor.callFromThread(_answer, request, encoder.encode(data).encode())


def _answer(request: Request, body: bytes) -> None:
    if request.finished or request.channel is None:
        return  # who asked has left
    request.setHeader(b"content-length", str(len(body)).encode())
    if request.method != b"HEAD":
        request.write(body)
