"""The page of the build hosts: what each can, what it does, and how it stands."""

import time

from buildbot.master import BuildMaster
from twisted.web.server import Request

from ...farm import Farm
from ..hosts import hosts_seen
from .base import Page


class Hosts(Page):
    """Every build host."""

    def __init__(self, master: BuildMaster, farm: Farm) -> None:
        super().__init__(master)
        self._farm = farm

    async def get(self, request: Request) -> bytes:
        return self.live(request, "hosts.html.j2", hosts=hosts_seen(self.master, self._farm), now=time.time())
