"""Builds that somebody asks for: each is a run of its own, and comes before what the other runs have queued."""

from collections.abc import Awaitable, Callable

from twisted.internet import defer, threads

from ..matrix import Planned
from .requests import FORCED, FORCED_PRIORITY, Requests
from .virtual import request_of

_ASKED_BY = "asked for by "
# a buildset, and the request at each builder
Asked = tuple[int, dict[int, int]]


class Forced:
    """Asks for them. May be used at any time, from the reactor's thread."""

    def __init__(self, requests: Requests, turn: defer.DeferredLock, open_run: Callable[[Planned], None]) -> None:
        """turn: of who fills the queue; open_run: notes the run of one that is forced, in a thread."""
        self._requests, self._turn, self._open_run = requests, turn, open_run
        self._asking = defer.DeferredLock()
        self._hurried: dict[str, None] = {}

    async def force(self, planned: Planned, ask: Callable[[str], Awaitable[Asked]]) -> Asked:
        """A person asks for a build of the matrix, which becomes a run of its own. ask: does it, in a given name."""
        name = FORCED + str(planned.entry.build_id)
        with self._requests.expected(name):
            await self._turn.run(threads.deferToThread, self._open_run, planned)
            found = await ask(name)
            self._requests.asked(name, found[0])
        return found

    async def build_now(self, planned: Planned, *, by: str, rebuild: bool = False) -> None:
        """The same for a page or a program: what is queued overtakes the rest, what runs runs on. Returns once it is
        asked for.

        by: who asks, for the record; rebuild: also if it is built.
        """
        name, (builder, wanted) = str(planned.entry.build_id), request_of(planned.entry)
        why = f"{_ASKED_BY}{by}"

        def ask(request: str) -> Awaitable[Asked]:
            more = {"rebuild": True} if rebuild else {}
            return self._requests.add(request, builder, wanted | more, why, priority=FORCED_PRIORITY)

        async def work() -> None:
            if FORCED + name in self._requests or (name in self._hurried and name in self._requests):
                return
            # between two fillings of the queue
            if not await self._turn.run(self._requests.hurry, name, FORCED_PRIORITY):
                await self.force(planned, ask)
            elif name in self._requests:
                self._hurried[name] = None

        # one after the other: who asks for the same meanwhile shall find it asked for
        await self._asking.run(work)

    async def asked_by(self) -> dict[str, str]:
        """Who asked for what has not ended yet, of what `build_now` has forced: by build id."""
        whys = await self._requests.reasons()
        return {
            name.removeprefix(FORCED): why.removeprefix(_ASKED_BY)
            for name, why in whys.items()
            if why.startswith(_ASKED_BY)
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Build ids of what comes first, and has not ended: what was forced, then what was queued by itself before."""
        forced = (name.removeprefix(FORCED) for name in self._requests.names if name.startswith(FORCED))
        return (*forced, *(name for name in self._hurried if name in self._requests))

    def ended(self, request: str) -> None:
        """request: its name."""
        self._hurried.pop(request, None)
