"""A queue whose cost does not grow with its length, for Buildbot 4.3.0.

Stock Buildbot sorts all builders with two database queries each, at every event, and reads the
whole queue of a builder to take one request from it. With these two, a queue of 10,000 requests
costs as much per build as one of 20.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from buildbot.data.base import ListResult
from buildbot.data.resultspec import Filter
from buildbot.master import BuildMaster
from buildbot.process.builder import Builder
from buildbot.process.buildrequest import BuildRequest
from buildbot.process.buildrequestdistributor import BasicBuildChooser
from buildbot.util.twisted import async_to_deferred

_AT_ONCE = 32


@async_to_deferred
async def prioritize_builders(master: BuildMaster, builders: Sequence[Builder]) -> list[Builder]:
    """The builders that have unclaimed requests: highest priority first, then the oldest request.

    Builders with nothing to do are left out, which Buildbot allows and which saves it a query each.
    """

    def waiting(connection: sa.Connection) -> dict[int, tuple[int, int]]:
        requests = master.db.model.buildrequests
        claims = master.db.model.buildrequest_claims
        query = (
            sa.select(requests.c.builderid, sa.func.max(requests.c.priority), sa.func.min(requests.c.id))
            .select_from(requests.outerjoin(claims, requests.c.id == claims.c.brid))
            .where(requests.c.complete == 0, claims.c.brid.is_(None))
            .group_by(requests.c.builderid)
        )
        return {builder: (-priority, oldest) for builder, priority, oldest in connection.execute(query)}

    first = await master.db.pool.do(waiting)
    due: list[tuple[tuple[int, int], Builder]] = []
    for builder in builders:
        rank = first.get(await builder.getBuilderId())
        if rank is not None:
            due.append((rank, builder))
    return [builder for _, builder in sorted(due, key=lambda item: item[0])]


class BoundedChooser(BasicBuildChooser):
    """Reads only the first requests of a builder's queue, and none while no worker could take one.

    Where `nextWorker` has none for a request, the next request is looked at: stock, all behind it would wait.
    """

    unclaimedBrdicts: ListResult | None
    workerpool: list[object]

    @async_to_deferred
    async def popNextBuild(self) -> tuple[object | None, BuildRequest | None]:
        while (request := await self._getNextUnclaimedBuildRequest()) is not None:
            self.workerpool = self.workerpool or self.bldr.getAvailableWorkers()
            self._removeBuildRequest(request)
            worker, refused = await self._popNextWorker(request), []
            while worker is not None and not await self.canStartBuild(worker, request):
                refused.append(worker)
                worker = await self._popNextWorker(request)
            self.workerpool += refused
            if worker is not None:
                return worker, request
        return None, None

    @async_to_deferred
    async def _fetchUnclaimedBrdicts(self) -> ListResult:
        if self.unclaimedBrdicts is None:
            self.unclaimedBrdicts = await self._first_requests()
        return self.unclaimedBrdicts

    async def _first_requests(self) -> ListResult:
        self.workerpool = self.workerpool or self.bldr.getAvailableWorkers()
        if not self.workerpool:
            return ListResult([])
        return await self.master.data.get(
            ("builders", await self.bldr.getBuilderId(), "buildrequests"),
            [Filter("claimed", "eq", [False])],
            order=["-priority", "buildrequestid"],
            limit=_AT_ONCE,
        )
