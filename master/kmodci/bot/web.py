"""What of Buildbot's web server is changed: 4.3.0 streams every event to anyone under /sse."""

from buildbot.master import BuildMaster
from buildbot.www import sse
from twisted.web.http import Request
from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource


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
