"""What this master has asked Buildbot for and what has not ended: build requests, by their names in the farm.

The name is the build id; `forced:` before it for what a person asked for; `image/<short name>` for an image. It is
kept in the buildset (`external_idstring`), so that a master that starts again knows what it has asked for.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa
from buildbot.data.resultspec import Filter
from buildbot.master import BuildMaster
from buildbot.reporters.utils import getURLForBuild

FORCED = "forced:"
# A forced build is somebody waiting: it comes before all that runs have queued. An image is waited for by many.
FORCED_PRIORITY, IMAGE_PRIORITY = 50, 100
_SOURCE = {"codebase": "", "repository": "", "branch": None, "revision": None, "project": ""}


class Requests:
    """The open requests. May be asked at any time, from the reactor's thread."""

    def __init__(self, master: BuildMaster, scheduler: str) -> None:
        """scheduler: the name to ask in."""
        self._master = master
        self._scheduler = scheduler
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, name: object) -> bool:
        return name in self._open

    def is_asked_for(self, build_id: str) -> bool:
        """Whether there is one for this build, by whoever wants it."""
        return build_id in self._open or FORCED + build_id in self._open

    @property
    def names(self) -> tuple[str, ...]:
        """Of all of them, the oldest first."""
        return tuple(self._open)

    async def read(self) -> None:
        """What an earlier life of this master has asked for and not yet ended."""
        self._open = {name: bsid for bsid, name in (await self._incomplete()).items()}

    async def check(self) -> None:
        """Forgets what has ended without a word, as an end does that comes while `read` reads."""
        asked = {name: bsid for name, bsid in self._open.items() if bsid}
        there = set((await self._incomplete()).values())
        for name, bsid in asked.items():
            if name not in there and self._open.get(name) == bsid:
                del self._open[name]

    @contextmanager
    def expected(self, name: str) -> Iterator[None]:
        """While somebody else asks for this. Is forgotten if that fails, or nobody would ever ask for it again."""
        is_new = name not in self._open
        self._open.setdefault(name, 0)
        try:
            yield
        except BaseException:
            if is_new:
                self.ended(name)
            raise

    def ended(self, name: str) -> bool:
        """Forgets one. Returns whether it was known."""
        return self._open.pop(name, None) is not None

    async def ask(self, name: str, builder: str, wanted: Mapping[str, object], why: str, *, priority: int = 0) -> bool:
        """Asks for one, unless it is asked for. builder: a real one; wanted: properties. Returns whether it did."""
        if name in self._open:
            return False
        with self.expected(name):
            self.asked(name, (await self.add(name, builder, wanted, why, priority=priority))[0])
        return True

    async def add(
        self, name: str, builder: str, wanted: Mapping[str, object], why: str, *, priority: int = 0
    ) -> tuple[int, dict[int, int]]:
        """Asks for one that is `expected`. Returns the number of its buildset, and of the request at each builder."""
        builderid = await self._master.botmaster.builders[builder].getBuilderId()
        asked: tuple[int, dict[int, int]] = await self._master.data.updates.addBuildset(
            scheduler=self._scheduler,
            builderids=[builderid],
            sourcestamps=[_SOURCE],
            reason=why,
            external_idstring=name,
            properties={key: (value, self._scheduler) for key, value in wanted.items()},
            waited_for=False,
            priority=priority,
        )
        return asked

    async def hurry(self, name: str, priority: int) -> bool:
        """Lets one overtake what is queued before it. Returns whether there is one; it may run already.

        Not while others ask: one that is being asked for just now is not there yet.
        """
        found = (await self._requests()).get(name)
        if found is None:
            return False
        request, is_claimed = found
        if not is_claimed:
            await self._master.db.pool.do(self._prioritize, request, priority)
        return True

    def _prioritize(self, connection: sa.Connection, request: int, priority: int) -> None:
        """What `set_priority` of Buildbot 4.3.0 is for, which SQLAlchemy 2 refuses to do.

        https://github.com/buildbot/buildbot/blob/v4.3.0/master/buildbot/db/buildrequests.py#L312
        """
        requests = self._master.db.model.buildrequests
        connection.execute(requests.update().where(requests.c.id == request).values(priority=priority))
        connection.commit()

    def asked(self, name: str, buildset: int) -> None:
        """What was expected has been asked for, unless it has ended already. buildset: its number."""
        if name in self._open:
            self._open[name] = buildset

    async def running(self) -> dict[str, Mapping[str, object]]:
        """Those that a worker has taken: name -> the build's row; an empty one if it is about to start."""
        taken = {request: name for name, (request, is_claimed) in (await self._requests()).items() if is_claimed}
        found: dict[str, Mapping[str, object]] = {name: {} for name in taken.values()}
        for build in await self._master.data.get(("builds",), filters=[Filter("complete", "eq", [False])]):
            if build["buildrequestid"] in taken:
                found[taken[build["buildrequestid"]]] = build
        return found

    async def building(self) -> dict[str, str]:
        """What runs: build id -> address of the build."""
        return {
            name.removeprefix(FORCED): getURLForBuild(self._master, build["builderid"], build["number"])
            for name, build in (await self.running()).items()
            if build
        }

    async def cancel(self, names: Collection[str], reason: str) -> None:
        """Takes out of the queue what no worker has taken yet."""
        for name, (request, is_claimed) in (await self._requests()).items():
            if name in names and not is_claimed:
                await self._master.data.control("cancel", {"reason": reason}, ("buildrequests", str(request)))

    async def stop(self, names: Collection[str], reason: str) -> None:
        """Stops what is running of these."""
        for name, build in (await self.running()).items():
            if name in names and build:
                await self._master.data.control("stop", {"reason": reason}, ("builds", str(build["buildid"])))

    async def _incomplete(self) -> dict[int, str]:
        """The buildsets that have not ended: number -> name; the form's as well, which its own scheduler makes."""
        every = await self._master.data.get(("buildsets",), filters=[Filter("complete", "eq", [False])])
        return {each["bsid"]: each["external_idstring"] for each in every if each["external_idstring"]}

    async def reasons(self) -> dict[str, str]:
        """Why each was asked for, of what has not ended."""
        every = await self._master.data.get(("buildsets",), filters=[Filter("complete", "eq", [False])])
        return {each["external_idstring"]: each["reason"] or "" for each in every if each["external_idstring"]}

    async def _requests(self) -> dict[str, tuple[int, bool]]:
        names = await self._incomplete()
        every = await self._master.data.get(("buildrequests",), filters=[Filter("complete", "eq", [False])])
        return {
            names[each["buildsetid"]]: (each["buildrequestid"], each["claimed"])
            for each in every
            if each["buildsetid"] in names
        }
