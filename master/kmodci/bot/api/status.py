"""/healthz and /metrics, for what watches over the farm."""

from collections.abc import Awaitable
from http import HTTPStatus

from twisted.internet import threads
from twisted.web.server import Request

from ...apianswers import HealthAnswer
from ...apiasked import NoQuery
from ...health import Vitals, problems
from ...metrics import CONTENT_TYPE, Figures, exposition
from ..board import keeper_of
from ..hosts import hosts_seen
from ..services import service_of
from ..watchdog import Watchdog
from .access import Caller
from .base import Body, Context, Endpoint, json_of, now, query_of
from .together import Together
from .vitals import Examiner


class _Status(Endpoint):
    def __init__(self, context: Context, examiner: Examiner) -> None:
        super().__init__(context)
        self.examiner = examiner

    def problems(self, vitals: Vitals) -> tuple[str, ...]:
        interval = self.context.farm.settings.poll.interval
        return problems(vitals, interval=interval, started=self.examiner.started, now=now())


class Health(_Status):
    """200 if nothing is wrong, 503 with what is."""

    is_open = True

    def get(self, request: Request, caller: Caller) -> Body:
        query_of(request, NoQuery)
        return self._look(request, may_read=self.may_read(request, caller))

    async def _look(self, request: Request, *, may_read: bool) -> bytes:
        vitals = await self.examiner.look()
        found = self.problems(vitals)
        if found:
            request.setResponseCode(HTTPStatus.SERVICE_UNAVAILABLE)
        if not may_read:
            # the rest names servers, folders and sources
            found = tuple(dict.fromkeys(problem.partition(":")[0].partition(" ")[0] for problem in found))
        return json_of(
            HealthAnswer(
                healthy=not found,
                problems=found,
                plan_age_seconds=_age(vitals.planned),
                board_age_seconds=_age(vitals.board),
            )
        )


class Metrics(_Status):
    """For Prometheus. It has a thread of its own: who asks for much else shall not hide how the farm is."""

    def __init__(self, context: Context, examiner: Examiner) -> None:
        super().__init__(context, examiner)
        self._together = Together[bytes]()

    def get(self, request: Request, caller: Caller) -> Awaitable[bytes]:
        query_of(request, NoQuery)
        return self._look(request)

    async def _look(self, request: Request) -> bytes:
        body = await self._together.run("", self._made)
        request.setHeader(b"Content-Type", CONTENT_TYPE.encode())
        return body

    async def _made(self) -> bytes:
        master, vitals = self.context.master, await self.examiner.look()
        figures = Figures(
            board=keeper_of(master).board,
            vitals=vitals,
            problems=len(self.problems(vitals)),
            slots=self.context.farm.slots,
            images_missing=len(self.context.scheduler.plan.missing_images),
            overdue=len(service_of(master, Watchdog).late),
            hosts=hosts_seen(master, self.context.farm),
            holds=self.context.scheduler.plan.holds,
            ended=self.context.farm.ended,
            requests=dict(self.context.access.answers),
            now=now(),
        )
        return await threads.deferToThread(exposition, figures)


def _age(when: float) -> int | None:
    """Seconds. when: since the epoch; 0 is never."""
    return round(now() - when) if when else None
