"""The page of the build hosts: what each can, does, and how it stands. `hosts.json` is the same for programs."""

import time
from collections import Counter

from buildbot.master import BuildMaster
from buildbot.worker.latent import States
from twisted.web.server import Request

from ...farm import Farm
from ...hostview import HostView, plain, views
from ..workers import SandboxWorker
from .base import Page


class Hosts(Page):
    """Every build host."""

    def __init__(self, master: BuildMaster, farm: Farm) -> None:
        super().__init__(master)
        self._farm = farm

    async def get(self, request: Request) -> bytes:
        now, seen = time.time(), self.look()
        if request.prepath[-1].endswith(b".json"):
            return self.json(request, {"hosts": [plain(each, now) for each in seen]})
        return self.html(request, "hosts.html.j2", hosts=seen, now=now, away=any(each.state.is_away for each in seen))

    def look(self) -> tuple[HostView, ...]:
        """All of them, as they are now; nobody is asked for it."""
        farm = self._farm
        return views(
            farm.engines.hosts,
            {name: farm.engines.state(name) for name in farm.engines},
            workers={name: farm.workers(name) for name in farm.engines},
            running=self._running(),
            images=frozenset(made.tag for made in farm.recipes.values()),
        )

    def _running(self) -> Counter[str]:
        workers = (w for w in self.master.workers.workers.values() if isinstance(w, SandboxWorker))
        return Counter(w.host.name for w in workers if w.state is not States.NOT_SUBSTANTIATED)
