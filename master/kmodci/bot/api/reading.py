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
from ...sourceview import SourceView
from ...survey import survey
from ..hosts import hosts_seen
from .access import DEAR, Caller
from .base import Body, Context, Endpoint, json_of, now, query_of
from .together import Together

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
        self._together = Together[bytes]()

    def get(self, request: Request, caller: Caller) -> Body:
        query, board = query_of(request, self.query), self.context.board
        if board is not self._board:
            self._board, self._answers = board, OrderedDict()
        known = self._answers.get(query)
        if known is not None:
            return known
        self.check(query, board)
        self.context.access.charge(caller, DEAR)
        return self._together.run((board.made, id(board), query), lambda: self._make(query, board))

    def check(self, query: BaseModel, board: Board) -> None:
        """Raises NotFound for what there is nothing of, before a thread looks."""

    async def _make(self, query: BaseModel, board: Board) -> bytes:
        body = await self.context.in_thread(lambda: json_of(self._told(board, query)))
        if board is self._board:
            self._answers[query] = body
            if len(self._answers) > _MOST:
                self._answers.popitem(last=False)
        return body


class OfVersions(FromBoard):
    """Of the versions that the sources are at."""

    def check(self, query: BaseModel, board: Board) -> None:
        if isinstance(query, CoverageQuery):
            matrixtold.check_version(board, query)


class Coverage(OfVersions):
    """`coverage`, and `coverage/builds`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, matrixtold.coverage_told, CountsQuery)
        self.putChild(b"builds", OfVersions(context, matrixtold.builds_told, CoverageQuery))


class Kernels(FromBoard):
    """`kernels`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, matrixtold.kernels_told, KernelsQuery)


class Sources(Endpoint):
    """`sources`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._together = Together[tuple[SourceView, ...]]()

    def get(self, request: Request, caller: Caller) -> Body:
        query = query_of(request, SourcesQuery)
        self.context.access.charge(caller, DEAR)
        return self._look(query)

    async def _look(self, query: SourcesQuery) -> bytes:
        farm = self.context.farm
        asked = (farm.settings, farm.scope, farm.store, farm.watch.acceptances)
        seen = await self._together.run("", lambda: self.context.in_thread(survey, *asked))
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

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._together = Together[bytes]()

    def getChild(self, path: bytes, request: Request) -> IResource:
        return OneRun(self.context, path.decode(errors="replace"))

    def get(self, request: Request, caller: Caller) -> Body:
        query = query_of(request, RunsQuery)
        self.context.access.charge(caller, DEAR)
        return self._together.run(query, lambda: self._look(query))

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
        name, query = check_id(self._name), query_of(request, RunQuery)
        self.context.access.charge(caller, DEAR)
        return self._look(name, query)

    async def _look(self, name: str, query: RunQuery) -> bytes:
        return await self.context.in_thread(lambda: json_of(self._read(name, query)))

    def _read(self, name: str, query: RunQuery) -> RunAnswer:
        """In a thread."""
        run = self.context.farm.runs.run(name)
        if run is None:
            raise NotFound(f"there is no run {name}")
        entries = self.context.farm.runs.entries(name)
        return matrixtold.run_told(view(run, entries, now()), of_ending(entries, query.ending or ""))
