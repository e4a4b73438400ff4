"""Asks the parts of the farm how they are: each at most every ten seconds, and nobody waits long for one that hangs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet import defer, threads
from twisted.python import log

from ...errors import KmodciError
from ...health import Vitals
from ...sourceview import SourceView
from ...survey import survey
from ..board import keeper_of
from .base import Context, now

_FRESH, _PATIENCE = 10.0, 5.0


@dataclass(slots=True)
class _Part:
    """What was seen last, and whether somebody looks."""

    fault: str = ""
    asked: float = -_FRESH
    """by the monotonic clock"""
    began: float = 0.0
    is_looked_at: bool = False
    waiting: set[defer.Deferred[None]] = field(default_factory=set)
    """who wants to know; who has given up is not among them"""

    @property
    def is_late(self) -> bool:
        """Whether it has not answered for so long that nobody waits for it any more."""
        return self.is_looked_at and time.monotonic() - self.began >= _PATIENCE


@dataclass(slots=True)
class Examiner:
    """Of one farm. A part that does not answer has one thread, however often it is asked for."""

    context: Context
    started: float = field(default_factory=now)
    _parts: dict[str, _Part] = field(default_factory=dict)
    _sources: tuple[SourceView, ...] = ()
    _containers: int | None = None

    async def look(self) -> Vitals:
        parts: dict[str, Callable[[], None]] = {
            "database": self._database,
            "bucket": self._bucket,
            "engine": self._engine,
        }
        await defer.gatherResults([self._asked(name, work) for name, work in parts.items()])
        scheduler = self.context.scheduler
        return Vitals(
            faults={name: self._fault(name) for name in parts},
            sources=self._sources,
            shortage=self.context.farm.paths.shortage,
            free=self.context.farm.paths.free,
            planned=scheduler.planned_at,
            board=keeper_of(self.context.master).board.made,
            containers=self._containers,
        )

    def _asked(self, name: str, work: Callable[[], None]) -> defer.Deferred[None]:
        """Fires when it has answered, or is not waited for any more."""
        part = self._parts.setdefault(name, _Part())
        if not part.is_looked_at and time.monotonic() - part.asked >= _FRESH:
            part.began, part.is_looked_at = time.monotonic(), True
            threads.deferToThread(_fault_of, work).addCallback(self._note, part)
        if not part.is_looked_at or part.is_late:
            return defer.succeed(None)
        waiting: defer.Deferred[None] = defer.Deferred(part.waiting.discard)
        part.waiting.add(waiting)
        waiting.addTimeout(_PATIENCE, self.context.master.reactor)
        return waiting.addErrback(lambda failure: failure.trap(defer.TimeoutError) and None)

    def _note(self, fault: str, part: _Part) -> None:
        part.fault, part.asked, part.is_looked_at = fault, time.monotonic(), False
        waiting, part.waiting = part.waiting, set()
        for each in waiting:
            each.callback(None)

    def _fault(self, name: str) -> str:
        part = self._parts[name]
        if part.is_late:
            return f"has not answered for {time.monotonic() - part.began:.0f} s"
        return part.fault

    # each in a thread

    def _database(self) -> None:
        farm = self.context.farm
        self._sources = survey(farm.settings, farm.scope, farm.store, farm.watch.acceptances)

    def _bucket(self) -> None:
        self.context.farm.bucket.size("state/kernels.json")

    def _engine(self) -> None:
        self._containers = None
        self._containers = self.context.farm.engines.containers()


def _fault_of(work: Callable[[], None]) -> str:
    try:
        work()
    except KmodciError as error:
        return error.brief.splitlines()[0][:300]
    except Exception as error:
        # whatever it is, the next one who asks shall be told, and not wait for this
        log.err(error, "while asking a part of the farm how it is")
        return f"an error of the farm's own, {type(error).__name__}: the master's log has it"
    return ""
