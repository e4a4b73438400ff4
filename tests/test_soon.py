"""What many want done soon is done once for all of them, and never twice at a time."""

from types import SimpleNamespace
from typing import Any

import pytest
from kmodci.bot import soon
from kmodci.bot.soon import Soon
from twisted.internet import defer
from twisted.internet.task import Clock


class Work:
    """Begins, and ends when it is told to."""

    def __init__(self) -> None:
        self.clock, self.under_way = Clock(), list[defer.Deferred[None]]()
        service: Any = SimpleNamespace(master=SimpleNamespace(reactor=self.clock))
        self.soon = Soon(service, self._do, within=0.5, doing="at work")
        self.begun = 0

    async def _do(self) -> None:
        self.begun += 1
        self.under_way.append(defer.Deferred())
        await self.under_way[-1]

    def end(self, error: Exception | None = None) -> None:
        done = self.under_way.pop()
        if error:
            done.errback(error)
        else:
            done.callback(None)


@pytest.fixture
def work() -> Work:
    return Work()


def test_it_is_done_a_moment_later_and_once(work: Work) -> None:
    work.soon.want()
    work.clock.advance(0.4)
    work.soon.want()
    assert work.begun == 0
    work.clock.advance(0.1)
    assert work.begun == 1
    work.end()
    work.clock.advance(10)
    assert work.begun == 1


def test_who_wants_it_while_it_is_done_has_it_done_once_more_afterwards(work: Work) -> None:
    work.soon.want()
    work.clock.advance(0.5)
    work.soon.want()
    work.clock.advance(0.5)
    assert work.begun == 1
    work.end()
    assert work.begun == 2


def test_an_error_is_logged_and_it_is_done_the_next_time(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[str, str]] = []
    monkeypatch.setattr(soon.log, "err", lambda failure, why: logged.append((str(failure.value), why)))
    work.soon.want()
    work.clock.advance(0.5)
    work.end(ValueError("no"))
    assert logged == [("no", "while at work")]
    work.soon.want()
    work.clock.advance(0.5)
    assert work.begun == 2


def test_a_stop_waits_for_what_is_under_way_and_begins_nothing(work: Work) -> None:
    work.soon.want()
    work.clock.advance(0.5)
    work.soon.want()
    stopped = defer.ensureDeferred(work.soon.stop())
    assert not stopped.called
    work.end()
    work.clock.advance(10)
    assert stopped.called and work.begun == 1


def test_it_is_not_done_while_another_has_the_turn(work: Work) -> None:
    other: defer.Deferred[None] = defer.Deferred()
    work.soon.turn.run(lambda: other)
    work.soon.want()
    work.clock.advance(0.5)
    assert work.begun == 0
    other.callback(None)
    assert work.begun == 1
