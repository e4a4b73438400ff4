"""A service with a timer works on, whatever becomes of its work, and hears of nothing once it has stopped."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from buildbot.util.service import AsyncMultiService
from kmodci.bot import services
from kmodci.bot.services import TimedService, service_of
from kmodci.errors import StoreError
from twisted.internet import defer
from twisted.internet.task import Clock


class Master(AsyncMultiService):
    """Its events, and a way to its services."""

    def __init__(self) -> None:
        super().__init__()
        self.mq = self
        self.heard: list[Callable[[object, object], None]] = []

    @property
    def master(self) -> "Master":
        return self

    @property
    def service_manager(self) -> "Master":
        return self

    def startConsuming(self, callback: Any, key: object) -> Any:  # noqa: N802 as Buildbot calls it
        self.heard.append(callback)
        return defer.succeed(SimpleNamespace(stopConsuming=lambda: self.heard.remove(callback)))


class Worker(TimedService):
    """Counts."""

    name = "worker"
    every = 10.0
    doing = "working"
    fault = "it is not done"

    def __init__(self, fails: Exception | None = None) -> None:
        super().__init__()
        self._timer.clock = self.clock = Clock()
        self.fails, self.done, self.events = fails, 0, list[object]()

    async def listen(self) -> None:
        await self.on(("what", None), lambda key, message: self.events.append(message))

    async def work(self) -> None:
        self.done += 1
        if self.fails:
            raise self.fails


class Late(Worker):
    at_start = False
    at_stop = True


def started(service: Worker) -> Master:
    master = Master()
    service.setServiceParent(master)
    master.startService()
    return master


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(services.log, "msg", found.append)
    monkeypatch.setattr(services.log, "err", lambda failure, why: found.append(f"{why}: {failure.value}"))
    return found


def test_it_works_from_its_start_to_its_stop() -> None:
    worker = Worker()
    master = started(worker)
    assert worker.done == 1
    worker.clock.advance(10)
    assert worker.done == 2
    master.stopService()
    worker.clock.advance(10)
    assert worker.done == 2


def test_it_may_begin_later_and_work_once_more_at_its_stop() -> None:
    worker = Late()
    master = started(worker)
    assert worker.done == 0
    worker.clock.advance(10)
    assert worker.done == 1
    master.stopService()
    assert worker.done == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreError("the disk is full"), "it is not done, tried again in 10 s: the disk is full"),
        (ValueError("what nobody thought of"), "while working: what nobody thought of"),
    ],
)
def test_an_error_does_not_end_it(error: Exception, said: str, logged: list[str]) -> None:
    worker = Worker(error)
    started(worker)
    worker.clock.advance(10)
    assert (worker.done, logged) == (2, [said] * 2)


def test_it_hears_of_events_until_its_stop() -> None:
    worker = Worker()
    master = started(worker)
    [told] = master.heard
    told(("what", "now"), "one")
    master.stopService()
    assert (worker.events, master.heard) == (["one"], [])


def test_it_is_found_by_its_kind() -> None:
    worker = Worker()
    assert service_of(started(worker), Worker) is worker
    with pytest.raises(KeyError, match="worker"):
        service_of(Master(), Worker)
