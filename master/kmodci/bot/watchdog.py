"""Looks at the queue four times a minute, and raises an alarm for what waits while nothing runs."""

import time
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from buildbot.process.metrics import MetricCountEvent
from twisted.python import log

from ..overdue import Overdue, overdue
from .services import TimedService

METRIC = "kmodci.overdue"
_RECENT = 100


class Watchdog(TimedService):
    """`late` is what the last look found; the metric `kmodci.overdue` counts it."""

    name = "watchdog"
    every = 15.0
    at_start = False
    doing = "looking at the queue"
    late: tuple[Overdue, ...] = ()

    async def work(self) -> None:
        waiting, usual, running = await self.master.db.pool.do(self._read)
        self.late = overdue(waiting, usual, running=running)
        MetricCountEvent.log(METRIC, len(self.late), absolute=True)
        for each in self.late[:3]:
            log.msg(f"overdue: {each}")

    def _read(self, connection: sa.Connection) -> tuple[Mapping[str, float], Sequence[float], int]:
        """What waits and for how long, how long earlier ones waited, how many builds run."""
        model, now = self.master.db.model, time.time()
        requests, claims, sets, builds = model.buildrequests, model.buildrequest_claims, model.buildsets, model.builds
        # one that is tried again waits since its last try
        unclaimed = (
            sa.select(
                sets.c.external_idstring, requests.c.id, requests.c.submitted_at, sa.func.max(builds.c.complete_at)
            )
            .select_from(
                requests.join(sets, requests.c.buildsetid == sets.c.id)
                .outerjoin(claims, claims.c.brid == requests.c.id)
                .outerjoin(builds, builds.c.buildrequestid == requests.c.id)
            )
            .where(requests.c.complete == 0, claims.c.brid.is_(None))
            .group_by(sets.c.external_idstring, requests.c.id, requests.c.submitted_at)
        )
        waiting = {
            name or f"request {number}": now - max(asked, tried or 0)
            for name, number, asked, tried in connection.execute(unclaimed)
        }
        newest = sa.select(sa.func.max(requests.c.id)).scalar_subquery()
        first = (
            sa.select(sa.func.min(builds.c.started_at) - requests.c.submitted_at)
            .select_from(builds.join(requests, builds.c.buildrequestid == requests.c.id))
            .where(requests.c.id > newest - _RECENT)
            .group_by(requests.c.id, requests.c.submitted_at)
        )
        usual = [float(wait) for (wait,) in connection.execute(first)]
        running = connection.execute(sa.select(sa.func.count()).where(builds.c.complete_at.is_(None))).scalar_one()
        return waiting, usual, int(running)
