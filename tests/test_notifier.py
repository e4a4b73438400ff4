"""How the master goes on with receivers: one thing after the other, later and later where one does not take it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from buildbot.util.service import AsyncMultiService
from buildbot.util.tuplematch import matchTuple
from kmodci.bot import notifier
from kmodci.bot.events import ANSWER_OF, NEWS_FOR
from kmodci.bot.notifier import Notifier
from kmodci.bot.posting import Answer
from kmodci.bot.schedulers import MATRIX
from kmodci.news import TestNews
from kmodci.newsdesk import NewsDesk
from kmodci.newsstore import Letter, NewsStore
from kmodci.notifyfile import Receiver, WebhookAt
from kmodci.schema import Web
from kmodci.settings import Settings
from kmodci.store import Store
from twisted.internet import defer
from twisted.internet.task import Clock

GOOD = Answer(is_good=True, said="200")
AWAY = Answer(is_good=False, said="Connection was refused")
REFUSED = Answer(is_good=False, said="400 no", is_final=True)


class Master(AsyncMultiService):
    """Of a master: its clock, its events, and reporters that answer as they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reactor = Clock()
        self.mq = self
        self.scheduler_manager = SimpleNamespace(namedServices={})
        self._consumers: list[tuple[tuple[str | None, ...], Callable[..., object]]] = []
        self.answers: dict[str, list[Answer]] = {}
        """of each receiver, one after the other; without one it says nothing"""
        self.told: list[tuple[int, str, str]] = []
        """second, receiver, letter"""

    @property
    def master(self) -> "Master":
        return self

    def startConsuming(  # noqa: N802 as Buildbot calls it
        self, callback: Callable[..., object], key: tuple[str | None, ...]
    ) -> Any:
        self._consumers.append((key, callback))
        return defer.succeed(SimpleNamespace(stopConsuming=lambda: None))

    def produce(self, key: tuple[str, ...], message: Any) -> None:
        if key[:2] == NEWS_FOR:
            self.told.append((round(self.reactor.seconds()), key[2], message["letter"]))
            if answers := self.answers.get(key[2]):
                self.produce((*ANSWER_OF, key[2]), {"letter": message["letter"], "answer": answers.pop(0)})
        for wanted, callback in self._consumers:
            if matchTuple(key, wanted):
                callback(key, message)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path / 'kmodci.sqlite'}")
    made.create()
    yield made
    made.close()


@pytest.fixture
def master(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Master]:
    """With two letters to each of two receivers."""
    monkeypatch.setattr(notifier.threads, "deferToThread", defer.maybeDeferred)
    monkeypatch.setattr(notifier.time, "time", lambda: 1000.0 + made.reactor.seconds())
    made = Master()
    receiver = Receiver(webhook=WebhookAt(url="http://127.0.0.1:1"))
    settings = Settings.model_construct(notify={"one": receiver, "two": receiver}, web=Web())
    news = NewsStore(store)
    news.begin(1.0)
    news.write(letters=[letter(name, n) for name in ("one", "two") for n in (1, 2)])
    service = Notifier(SimpleNamespace(settings=settings, store=store))  # type: ignore[arg-type] # all it asks of a farm
    service.setServiceParent(made)
    made.startService()
    yield made
    made.stopService()


def letter(name: str, number: int) -> Letter:
    return Letter(receiver=name, id=f"{number}", written=1000.0 + number, news=TestNews(url=""))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(notifier.log, "msg", lambda text, receiver="": found.append(text))
    return found


def after(master: Master, seconds: float) -> list[tuple[int, str, str]]:
    """All that was told until then."""
    while master.reactor.seconds() < seconds:
        master.reactor.advance(0.5)
    return master.told


def test_one_after_the_other_and_nobody_waits_for_who_says_nothing(
    master: Master, store: Store, logged: list[str]
) -> None:
    master.answers = {"two": [GOOD, GOOD]}
    assert after(master, 2) == [(1, "one", "1"), (1, "two", "1"), (1, "two", "2")]
    assert [each.receiver for each in NewsStore(store).letters()] == ["one", "one"]
    assert len(after(master, 300)) == 3 and logged == []
    assert after(master, 312)[3:] == [(311, "one", "1")]
    assert logged == ["notify: one is not reached, and tried for a day: no answer within 300 s"]


def test_who_is_away_is_tried_later_and_later_and_that_is_said_once(
    master: Master, store: Store, logged: list[str]
) -> None:
    master.answers = {"one": [AWAY] * 4 + [GOOD, GOOD], "two": [GOOD, GOOD]}
    told = [(second, name) for second, receiver, name in after(master, 500) if receiver == "one"]
    assert told == [(1, "1"), (11, "1"), (31, "1"), (71, "1"), (151, "1"), (151, "2")]
    assert NewsStore(store).letters() == []
    assert logged == [
        "notify: one is not reached, and tried for a day: Connection was refused",
        "notify: one takes messages again",
    ]


def test_what_is_refused_for_what_it_is_is_given_up_and_the_next_is_told(
    master: Master, store: Store, logged: list[str]
) -> None:
    master.answers = {"one": [REFUSED, GOOD], "two": [GOOD, GOOD]}
    after(master, 2)
    assert NewsStore(store).letters() == []
    assert logged == ["notify: one refuses this, which is given up: a test message of kmodci: 400 no"]


def test_who_has_been_away_for_weeks_is_tried_on(master: Master, logged: list[str]) -> None:
    master.answers = {"one": [AWAY, GOOD, GOOD], "two": [GOOD, GOOD]}
    master.services[0]._lines["one"].tries = 2000
    told = [(second, name) for second, receiver, name in after(master, 3700) if receiver == "one"]
    assert told == [(1, "1"), (3601, "1"), (3601, "2")]


def test_news_are_looked_for_every_minute_though_one_comes_a_little_early(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = SimpleNamespace(builds=(1,), entries=[], keys={}, versions={})
    master.scheduler_manager.namedServices[MATRIX] = SimpleNamespace(plan=plan)
    looked: list[float] = []
    monkeypatch.setattr(NewsDesk, "look", lambda self, *of: looked.append(of[-1]))
    monkeypatch.setattr(NewsDesk, "is_urgent", lambda self: False)
    # the loop of the service goes by the real clock
    for _ in range(3):
        master.services[0]._soon.want()
        after(master, master.reactor.seconds() + 59.5)
    assert looked == [1001.0, 1060.5, 1120.0]


def test_after_a_day_it_is_given_up(master: Master, store: Store, logged: list[str]) -> None:
    master.answers = {"one": [AWAY] * 100, "two": [GOOD, GOOD]}
    after(master, 25 * 3600)
    assert NewsStore(store).letters() == []
    tries = sum(receiver == "one" for _, receiver, _ in master.told)
    assert 24 < tries < 40, "once an hour at last"
    given_up = "notify: one did not take this, which is given up: a test message of kmodci"
    assert logged[1:] == [given_up, given_up]
