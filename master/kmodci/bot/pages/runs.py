"""The pages of the runs: a list of them, one page for each, and the question before one is cancelled."""

import time
from collections.abc import Sequence

from buildbot.master import BuildMaster
from twisted.internet import threads
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...errors import NotFound
from ...farm import Farm
from ...runs import Ending, Run, Totals, check_id
from ...runview import LEFT, RunView, state, view, wall
from ..schedulers import scheduler_of
from ..services import service_of
from ..virtual import VirtualBuilders
from ..watchdog import Watchdog
from .base import Page, argument

_NEWEST = 100
# what the form of the last question may say: let end what runs, or stop it
_LET_END, _STOP = "let-end", "stop"


class Runs(Page):
    """The newest runs, and the way to each."""

    def __init__(self, master: BuildMaster, farm: Farm) -> None:
        super().__init__(master)
        self._farm = farm

    def getChild(self, path: bytes, request: Request) -> IResource:
        return OneRun(self.master, self._farm, path.decode(errors="replace")) if path else self

    async def get(self, request: Request) -> bytes:
        stamp = self.stamp()
        if self.seen(request) == stamp:
            return self.unchanged(request)
        runs, sums = await threads.deferToThread(self._read)
        now = time.time()
        rows = [(run, state(run), sums[run.id], wall(run, now)) for run in runs]
        return self.live(request, "runs.html.j2", stamp=stamp, rows=rows, newest=_NEWEST, endings=list(Ending))

    def _read(self) -> tuple[Sequence[Run], dict[str, Totals]]:
        runs = self._farm.runs.runs(limit=_NEWEST)
        return runs, self._farm.runs.totals([run.id for run in runs])


class OneRun(Page):
    """What became of it, what is left, and every build. `?ending=` chooses some, `?page=` is of those chosen."""

    def __init__(self, master: BuildMaster, farm: Farm, name: str) -> None:
        super().__init__(master)
        self._farm = farm
        self._name = name

    def getChild(self, path: bytes, request: Request) -> IResource:
        if path == b"cancel":
            return CancelRun(self.master, self._farm, self._name)
        return super().getChild(path, request)

    async def get(self, request: Request) -> bytes:
        chosen, page = argument(request, "ending"), argument(request, "page")
        if chosen not in ("", LEFT, *Ending):
            self.refuse(http.BAD_REQUEST, f"no ending is called so; there are: {', '.join((LEFT, *Ending))}")
        stamp = self.stamp()
        if self.seen(request) == stamp:
            return self.unchanged(request)
        seen = await self.look(chosen, int(page) if page.isdecimal() and len(page) < 6 else 1)
        builders = service_of(self.master, VirtualBuilders)
        shown = await builders.addresses({row.build_id for row in (*seen.rows, *seen.running)})
        late = service_of(self.master, Watchdog).late if seen.run.is_open else ()
        return self.live(
            request,
            "run.html.j2",
            stamp=stamp,
            seen=seen,
            late=late,
            builders=shown,
            endings=list(Ending),
            left=LEFT,
        )

    async def look(self, chosen: str = "", page: int = 1) -> RunView:
        """The run as it stands. Raises NotFound and BadName."""
        running = await scheduler_of(self.master).building()
        return await threads.deferToThread(self._read, chosen, page, running)

    def _read(self, chosen: str, page: int, running: dict[str, str]) -> RunView:
        run = self._farm.runs.run(check_id(self._name))
        if run is None:
            raise NotFound(f"there is no run {self._name}")
        entries = self._farm.runs.entries(run.id)
        waiting = scheduler_of(self.master).plan.waiting
        return view(run, entries, time.time(), running=running, waiting=waiting, chosen=chosen, page=page)


class CancelRun(OneRun):
    """Asks what shall become of the builds that run, and does it."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return Page.getChild(self, path, request)

    async def get(self, request: Request) -> bytes:
        seen = await self.look()
        choices = {"let_end": _LET_END, "stop": _STOP}
        return self.html(request, "cancel.html.j2", seen=seen, choices=choices)

    async def post(self, request: Request) -> bytes:
        await self.assert_allowed(request, "kmodci", "runs", self._name, action="cancel")
        what = argument(request, "running")
        if what not in (_LET_END, _STOP):
            self.refuse(http.BAD_REQUEST, f"running: {_LET_END} or {_STOP}")
        seen = await self.look()
        if not seen.run.is_open:
            self.refuse(http.CONFLICT, f"run {seen.run.id} has ended meanwhile")
        await scheduler_of(self.master).cancel_run(seen.run.id, by=self.user(request), stop=what == _STOP)
        return self.see_other(request, f"kmodci/runs/{seen.run.id}")
