"""The pages of the sources: all of them, one for each, and the question before one is taken at its word."""

import time
from collections.abc import Sequence
from urllib.parse import quote

from buildbot.master import BuildMaster
from twisted.internet import threads
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...doubt import LOOKS, Doubt
from ...errors import NotFound
from ...farm import Farm
from ...sourceview import Health, SourceView
from ...survey import survey
from .base import Page, argument


class Sources(Page):
    """Every repository and module source, and the way to each."""

    def __init__(self, master: BuildMaster, farm: Farm) -> None:
        super().__init__(master)
        self._farm = farm

    def getChild(self, path: bytes, request: Request) -> IResource:
        return OneSource(self.master, self._farm, path.decode(errors="replace")) if path else self

    async def get(self, request: Request) -> bytes:
        stamp = self.stamp()
        if self.seen(request) == stamp:
            return self.unchanged(request)
        seen, now = await self.look(), time.time()
        return self.live(request, "sources.html.j2", stamp=stamp, sources=seen, now=now, health=Health, quote=_quoted)

    async def look(self) -> Sequence[SourceView]:
        """All of them, as they are now."""
        farm = self._farm
        return await threads.deferToThread(survey, farm.settings, farm.scope, farm.store, farm.watch.acceptances)


class OneSource(Sources):
    """All that is known of one."""

    def __init__(self, master: BuildMaster, farm: Farm, name: str) -> None:
        super().__init__(master, farm)
        self._name = name

    def getChild(self, path: bytes, request: Request) -> IResource:
        if path == b"accept":
            return AcceptSource(self.master, self._farm, self._name)
        return Page.getChild(self, path, request)

    async def get(self, request: Request) -> bytes:
        stamp = self.stamp()
        if self.seen(request) == stamp:
            return self.unchanged(request)
        seen, now = await self.one(), time.time()
        return self.live(
            request,
            "source.html.j2",
            stamp=stamp,
            seen=seen,
            now=now,
            health=Health,
            looks=LOOKS,
            name=_quoted(seen.name),
        )

    async def one(self) -> SourceView:
        """Raises NotFound."""
        found = next((each for each in await self.look() if each.name == self._name), None)
        if found is None:
            raise NotFound(f"there is no source {self._name[:80]!r}")
        return found


class AcceptSource(OneSource):
    """Asks whether what a repository says is to be believed, and notes that it is."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return Page.getChild(self, path, request)

    async def get(self, request: Request) -> bytes:
        seen = await self.one()
        doubt = seen.state.doubt
        return self.html(
            request,
            "accept.html.j2",
            seen=seen,
            said=_said(doubt) if doubt else "",
            looks=LOOKS,
            name=_quoted(seen.name),
        )

    async def post(self, request: Request) -> bytes:
        await self.assert_allowed(request, "kmodci", "sources", self._name, action="accept")
        seen = await self.one()
        doubt, acceptances = seen.state.doubt, self._farm.watch.acceptances
        if doubt is None or acceptances is None or argument(request, "said") != _said(doubt):
            self.refuse(http.CONFLICT, f"{seen.name} says something else by now: look at its page again")
        poller = self.master.change_svc.namedServices.get(seen.name)
        if poller is None:
            self.refuse(http.CONFLICT, f"nobody looks at {seen.name}: {seen.idle}")
        await threads.deferToThread(acceptances.put, seen.name, doubt, by=self.user(request), at=time.time())
        # its next look is now
        poller.force()
        return self.see_other(request, f"kmodci/sources/{_quoted(seen.name)}")


def _said(doubt: Doubt) -> str:
    """Names what somebody was shown, so that nothing else is accepted."""
    return f"{doubt.digest}-{doubt.since}"


def _quoted(name: str) -> str:
    """As a part of a path."""
    return quote(name, safe="")
