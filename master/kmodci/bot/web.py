"""What of Buildbot's web server is changed: 4.3.0 streams every event to anyone under /sse, loses answers, and
has no place for an API beside its own. `guard` and `frontpage` say what else."""

import json

from buildbot.master import BuildMaster
from buildbot.www import rest, sse
from buildbot.www.rest import RestRootResource, V2RootResource
from twisted.internet import reactor
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request


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


def open_own_api() -> None:
    """Before the site is made: it puts its own resource at /api when it is, after the farm's services were started."""
    rest.RestRootResource = _Apis


def _encode(request: Request, encoder: json.JSONEncoder, data: object) -> None:
    """In a thread. What is asked of the reactor here is done before it hears that this has ended."""
    reactor.callFromThread(_answer, request, encoder.encode(data).encode())


def _answer(request: Request, body: bytes) -> None:
    if request.finished or request.channel is None:
        return  # who asked has left
    request.setHeader(b"content-length", str(len(body)).encode())
    if request.method != b"HEAD":
        request.write(body)
