"""The pages of coverage: every module, and one with all its kernels.

`coverage`, `coverage/<module>`, and `coverage/<module>/<version>` of a published version, built no more.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buildbot.master import BuildMaster
from twisted.internet import threads
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...board import Board
from ...chart import HEIGHT, LEFT, RIGHT, WIDTH, Chart, arrival_chart, coverage_chart
from ...coverageview import ABSENT, STATES, Filter, fingerprints, lines, newcomers, versions, view
from ...errors import NotFound
from ...farm import Farm
from ...model import check_module_version
from ...runs import Ending, Run, Totals, eta_of
from ...search import find_module
from ...sourceview import Health, SourceView
from ...survey import survey
from ..board import keeper_of
from ..searching import search
from .base import HTML, Page, argument

_NEWEST = 10
# charts go back so far, and are made anew so often: seconds
_PAST, _CHARTS_EVERY = 30 * 86_400.0, 60.0
# looks at boards that pages may be behind by, all of them together
_SENT = 64
_WANTING = (Health.DOUBTED, Health.FAILING)
_FIELDS = ("distro", "series", "arch", "flavour")


class Home(Page):
    """What is below it has names; itself it leads to the first page."""

    async def get(self, request: Request) -> bytes:
        return self.see_other(request, "kmodci/coverage")


@dataclass(frozen=True, slots=True)
class _Read:
    """What the overview asks the database for."""

    runs: Sequence[tuple[Run, Totals, float | None]]
    """those that are open, each added up, and how many seconds it will take yet"""
    wanting: Sequence[SourceView]
    sources: int
    charts: tuple[Chart, ...]


class Sent:
    """What pages of thousands of builds were sent lately, so that they are sent no row again that has not changed."""

    def __init__(self) -> None:
        self._sent: OrderedDict[tuple[str, str], Mapping[str, int]] = OrderedDict()
        self._lock = threading.Lock()

    def swap(self, page: str, before: str, now: str, sent: Mapping[str, int]) -> Mapping[str, int]:
        """Notes what a page is sent, and tells what it had. before, now: what it is known by. From any thread."""
        with self._lock:
            found = self._sent.get((page, before), {})
            self._sent[page, now] = sent
            self._sent.move_to_end((page, now))
            while len(self._sent) > _SENT:
                self._sent.popitem(last=False)
            return found


class Coverage(Page):
    """Every module, what wants a person, what runs, and what is new."""

    def __init__(self, master: BuildMaster, farm: Farm) -> None:
        super().__init__(master)
        self._farm = farm
        self._charts: tuple[Chart, ...] = ()
        self._drawn = 0.0
        self._sent = Sent()

    def getChild(self, path: bytes, request: Request) -> IResource:
        return Module(self.master, self._farm, self._sent, path.decode(errors="replace")) if path else self

    async def get(self, request: Request) -> bytes:
        stamp = self.stamp()
        if self.seen(request) == stamp:
            return self.unchanged(request)
        board, now = keeper_of(self.master).board, time.time()
        read = await threads.deferToThread(self._read, now)
        return self.live(
            request,
            "coverage.html.j2",
            stamp=stamp,
            board=board,
            modules=lines(board),
            newcomers=newcomers(board, most=_NEWEST),
            read=read,
            states=STATES,
            endings=list(Ending),
            now=now,
            size={"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT},
        )

    def _read(self, now: float) -> _Read:
        """In a thread."""
        farm = self._farm
        still_open = farm.runs.runs(is_open=True)
        sums = farm.runs.totals([run.id for run in still_open])
        sources = survey(farm.settings, farm.scope, farm.store, farm.watch.acceptances)
        if now - self._drawn > _CHARTS_EVERY:
            past, arrivals = farm.history.tallies(since=now - _PAST), farm.history.arrivals(since=now - _PAST)
            self._charts, self._drawn = (coverage_chart(past, now), arrival_chart(arrivals, now)), now
        return _Read(
            runs=[(run, sums[run.id], eta_of(run, sums[run.id], now)) for run in still_open],
            wanting=[each for each in sources if each.health in _WANTING],
            sources=sum(each.health is not Health.IDLE for each in sources),
            charts=self._charts,
        )


class Module(Page):
    """One module, as a table of its kernels. `?status=`, `?distro=` and so on choose some."""

    def __init__(self, master: BuildMaster, farm: Farm, sent: "Sent", module: str, version: str = "") -> None:
        super().__init__(master)
        self._farm, self._sent = farm, sent
        self._module, self._version = module, version

    def getChild(self, path: bytes, request: Request) -> IResource:
        if path and not self._version:
            return Module(self.master, self._farm, self._sent, self._module, path.decode(errors="replace"))
        return super().getChild(path, request)

    async def get(self, request: Request) -> bytes:
        board = keeper_of(self.master).board
        modules = {*self._farm.settings.modules, *board.modules, *(name for name, _ in board.published)}
        if self._module not in modules:
            await search(find_module, self._module, modules)
        self._check_version(board)
        fields = {name: argument(request, name).strip()[:100] for name in ("status", "q", *_FIELDS)}
        if fields["status"] not in ("", ABSENT, *STATES):
            self.refuse(http.BAD_REQUEST, f"no status is called so; there are: {', '.join(STATES)}")
        # thousands of builds: what has not changed is not made again, and what has is made in a thread
        request.setHeader("Content-Type", HTML)
        shown = f"{board.made:.3f}"
        if self.seen(request) == shown:
            return self.unchanged(request)
        return await threads.deferToThread(self._page, request, board, fields, shown)

    def _page(self, request: Request, board: Board, fields: dict[str, str], shown: str) -> bytes:
        chosen = Filter(state=fields["status"], text=fields["q"], **{name: fields[name] for name in _FIELDS})
        seen = view(board, self._module, self._version, chosen)
        name, now = f"{self._module} {self._version} {chosen}", fingerprints(seen)
        before = self._sent.swap(name, self.seen(request), shown, now)
        return self.html(
            request,
            "module.html.j2",
            live=self.again(request, shown),
            seen=seen,
            fields=fields,
            states=(*STATES, ABSENT),
            is_filtered=chosen.is_set,
            same={each for each, print_ in now.items() if before.get(each) == print_},
        )

    def _check_version(self, board: Board) -> None:
        """Raises NotFound and BadName."""
        version = check_module_version(self._version) if self._version else ""
        known = board.versions.get(self._module)
        if version and not (known and known.version == version) and version not in versions(board, self._module):
            there = ", ".join(versions(board, self._module)) or "none"
            raise NotFound(f"no version {version} of {self._module} is published", hint=f"published are: {there}")
