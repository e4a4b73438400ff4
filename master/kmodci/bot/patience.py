"""Waits for a store that does not answer, rather than throw away what a build has made so far.

The bucket's own client gets over faults of seconds (`bucket`); this is for a server that is away for minutes.
"""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from buildbot.process.buildstep import BuildStep
from twisted.internet import defer, reactor, task, threads
from twisted.python.failure import Failure

from ..errors import StoreError

T = TypeVar("T")

LONGEST = 900.0
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 20.0


def pauses() -> Iterator[float]:
    """Seconds: doubled each time, up to a limit."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


class PatientStep(BuildStep):
    """A step that may wait, and says so while it does."""

    _pause: defer.Deferred[None] | None = None

    async def insist(self, work: Callable[[], T], answers: Callable[[], object], done: str) -> T:
        """Calls work in a thread until no StoreError comes of it, for `LONGEST` seconds at most.

        answers: raises StoreError for as long as another call of work would be for nothing.
        done: what the build has got so far, for the page. Raises what work raised last.
        """
        until = time.monotonic() + LONGEST
        for pause in pauses():
            try:
                return await threads.deferToThread(work)
            except StoreError as error:
                await self._tell(done, error)
                if not await self._answered(answers, pause, until):
                    raise
        raise AssertionError("pauses do not end")

    async def _answered(self, answers: Callable[[], object], pause: float, until: float) -> bool:
        """Whether the store answers again in time."""
        while not self.stopped and time.monotonic() + pause < until:
            await self._sleep(pause)
            try:
                await threads.deferToThread(answers)
            except StoreError:
                continue
            return not self.stopped
        return False

    async def _sleep(self, seconds: float) -> None:
        self._pause = task.deferLater(reactor, seconds)
        try:
            await self._pause
        except defer.CancelledError:
            pass  # the step was stopped
        finally:
            self._pause = None

    def interrupt(self, reason: str | Failure) -> defer.Deferred[None]:
        stopping = super().interrupt(reason)
        if self._pause is not None:
            self._pause.cancel()
        return stopping

    async def _tell(self, done: str, error: StoreError) -> None:
        when = f"{time.strftime('%H:%M:%S')} {error}\n"
        try:
            log = self.getLog("waiting")
        except KeyError:
            log = await self.addLog("waiting")
        await log.addStdout(when)
        self.descriptionDone = self.description = [f"{done}; waits: {error.brief[:120]}"]
        self.updateSummary()
