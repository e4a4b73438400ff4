"""What there is, and how it stands: coverage, kernels, sources, runs."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel
from twisted.web.resource import IResource
from twisted.web.server import Request

from ... import matrixtold
from ...apianswers import HostsAnswer, HostTold, RunAnswer
from ...apiasked import CountsQuery, CoverageQuery, KernelsQuery, NoQuery, RunQuery, RunsQuery, SourcesQuery
from ...board import Board
from ...errors import NotFound
from ...hostview import plain
from ...runs import Run, Totals, check_id
from ...runview import of_ending, view
from ...survey import survey
from ..hosts import hosts_seen
from .access import Caller
from .base import Body, Context, Endpoint, json_of, now, query_of

Query = TypeVar("Query", bound=BaseModel)
_MOST = 32


class FromBoard(Endpoint):
    """Answers from the board; the same to the same question, for as long as the board is the same."""

    def __init__(self, context: Context, told: Callable[[Board, Query], BaseModel], query: type[Query]) -> None:
        super().__init__(context)
        self._told: Callable[..., BaseModel] = told
        self.query = query
        self._board: Board | None = None
        self._answers: OrderedDict[BaseModel, bytes] = OrderedDict()

    def get(self, request: Request, caller: Caller) -> Body:
        query, board = query_of(request, self.query), self.context.board
        if board is not self._board:
            self._board, self._answers = board, OrderedDict()
        known = self._answers.get(query)
        return self._make(query, board) if known is None else known

    async def _make(self, query: BaseModel, board: Board) -> bytes:
        body = await self.context.in_thread(lambda: json_of(self._told(board, query)))
        if board is self._board:
            self._answers[query] = body
            if len(self._answers) > _MOST:
                self._answers.popitem(last=False)
        return body


class Coverage(FromBoard):
    """`coverage`, and `coverage/builds`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, matrixtold.coverage_told, CountsQuery)
        self.putChild(b"builds", FromBoard(context, matrixtold.builds_told, CoverageQuery))


class Kernels(FromBoard):
    """`kernels`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, matrixtold.kernels_told, KernelsQuery)


class Sources(Endpoint):
    """`sources`."""

    def get(self, request: Request, caller: Caller) -> Body:
        return self._look(query_of(request, SourcesQuery))

    async def _look(self, query: SourcesQuery) -> bytes:
        farm = self.context.farm
        seen = await self.context.in_thread(survey, farm.settings, farm.scope, farm.store, farm.watch.acceptances)
        chosen = [each for each in seen if query.name in (None, each.name)]
        return json_of(matrixtold.sources_told(chosen, now()))


class Hosts(Endpoint):
    """`hosts`."""

    def get(self, request: Request, caller: Caller) -> Body:
        query_of(request, NoQuery)
        seen, at = hosts_seen(self.context.master, self.context.farm), now()
        told = tuple(HostTold.model_validate(plain(each, at)) for each in seen)
        return json_of(HostsAnswer(hosts=told))


class Runs(Endpoint):
    """`runs`, and each below it."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return OneRun(self.context, path.decode(errors="replace"))

    def get(self, request: Request, caller: Caller) -> Body:
        return self._look(query_of(request, RunsQuery))

    async def _look(self, query: RunsQuery) -> bytes:
        runs, sums = await self.context.in_thread(self._read, query.limit)
        return json_of(matrixtold.runs_told(runs, sums))

    def _read(self, limit: int) -> tuple[list[Run], dict[str, Totals]]:
        found = self.context.farm.runs.runs(limit=limit)
        return found, self.context.farm.runs.totals([run.id for run in found])


class OneRun(Endpoint):
    """A run with its builds."""

    def __init__(self, context: Context, name: str) -> None:
        super().__init__(context)
        self._name = name

    def get(self, request: Request, caller: Caller) -> Body:
        return self._look(check_id(self._name), query_of(request, RunQuery))

    async def _look(self, name: str, query: RunQuery) -> bytes:
        return await self.context.in_thread(lambda: json_of(self._read(name, query)))

    def _read(self, name: str, query: RunQuery) -> RunAnswer:
        """In a thread."""
        run = self.context.farm.runs.run(name)
        if run is None:
            raise NotFound(f"there is no run {name}")
        entries = self.context.farm.runs.entries(name)
        return matrixtold.run_told(view(run, entries, now()), of_ending(entries, query.ending or ""))
