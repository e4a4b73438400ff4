"""What somebody asks for comes first, and is asked for once."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from kmodci.bot import forced as module
from kmodci.bot.forced import Asked, Forced
from kmodci.bot.requests import FORCED, FORCED_PRIORITY, Requests
from kmodci.matrix import Planned, Why
from support.boards import board
from twisted.internet import defer

BOARD = board()
FIRST, SECOND = (
    Planned(entry=standing.entry, key=BOARD.keys[name], why=Why.FORCED)
    for name, standing in list(BOARD.standings.items())[:2]
)


class Queue(Requests):
    """Notes what Buildbot would be asked; `slow` is waited for by whoever asks for a new one."""

    def __init__(self, queued: Planned | None = None) -> None:
        super().__init__(SimpleNamespace(), "matrix")
        self.added: list[tuple[str, bool, str]] = []
        """name, whether also if it is built, why"""
        self.hurried: list[str] = []
        self.slow = defer.succeed(None)
        if queued:
            self._open[str(queued.entry.build_id)] = 1

    async def hurry(self, name: str, priority: int) -> bool:
        if name in self:
            self.hurried.append(name)
        return name in self

    async def add(
        self, name: str, builder: str, wanted: Mapping[str, object], why: str, *, priority: int = 0
    ) -> tuple[int, dict[int, int]]:
        assert priority == FORCED_PRIORITY
        await self.slow
        self.added.append((name, "rebuild" in wanted, why))
        return 7, {}

    async def reasons(self) -> dict[str, str]:
        return {name: why for name, _, why in self.added} | {"image/gcc-14": "image missing"}


def now(work: Any) -> Any:
    """What a coroutine returns that waits for nothing."""
    return defer.ensureDeferred(work).result


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Planned]:
    """Whose runs were opened."""
    monkeypatch.setattr(module.threads, "deferToThread", defer.maybeDeferred)
    return []


def forced(queue: Queue, opened: list[Planned]) -> Forced:
    return Forced(queue, defer.DeferredLock(), opened.append)


def test_what_is_not_queued_becomes_a_run_of_its_own(opened: list[Planned]) -> None:
    queue = Queue()
    asked = forced(queue, opened)
    name = str(FIRST.entry.build_id)
    now(asked.build_now(FIRST, by="alice", rebuild=True))
    assert opened == [FIRST]
    assert queue.added == [(FORCED + name, True, "asked for by alice")]
    assert (asked.names, now(asked.asked_by())) == ((name,), {name: "alice"})
    assert queue.is_asked_for(name)


def test_what_is_queued_overtakes_the_rest(opened: list[Planned]) -> None:
    queue = Queue(SECOND)
    asked = forced(queue, opened)
    name = str(SECOND.entry.build_id)
    for _ in range(2):
        now(asked.build_now(SECOND, by="alice"))
    assert (queue.hurried, queue.added, opened, asked.names) == ([name], [], [], (name,))
    now(asked.build_now(FIRST, by="bob"))
    assert asked.names == (str(FIRST.entry.build_id), name)


def test_what_has_ended_is_asked_for_anew(opened: list[Planned]) -> None:
    queue = Queue(SECOND)
    asked = forced(queue, opened)
    name = str(SECOND.entry.build_id)
    now(asked.build_now(SECOND, by="alice"))
    asked.ended(name)
    queue.ended(name)
    assert asked.names == ()
    now(asked.build_now(SECOND, by="alice"))
    assert queue.added == [(FORCED + name, False, "asked for by alice")]


def test_two_who_ask_at_once_have_it_built_once(opened: list[Planned]) -> None:
    queue = Queue()
    queue.slow = defer.Deferred()
    asked = forced(queue, opened)
    both = [defer.ensureDeferred(asked.build_now(FIRST, by=who)) for who in ("alice", "bob")]
    assert not any(each.called for each in both)
    queue.slow.callback(None)
    assert all(each.called for each in both)
    assert [why for _, _, why in queue.added] == ["asked for by alice"]


def test_what_could_not_be_asked_for_is_not_taken_for_asked(opened: list[Planned]) -> None:
    async def ask(name: str) -> Asked:
        raise ValueError("the database is away")

    queue, said = Queue(), list[str]()
    asked = defer.ensureDeferred(forced(queue, opened).force(FIRST, ask))
    asked.addErrback(lambda failure: said.append(str(failure.value)))
    assert (said, len(queue)) == (["the database is away"], 0)
