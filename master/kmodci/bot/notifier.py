"""Tells receivers what became of runs, and keeps at it while one does not answer.

What there is to tell is `newsdesk`'s to say, looked for when builds have ended and every minute. Each receiver is told
one thing after the other; one that is away holds up nobody else, and is tried again after a pause that grows.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, threads
from twisted.internet.interfaces import IDelayedCall
from twisted.python import log

from ..errors import KmodciError
from ..farm import Farm
from ..newsdesk import NewsDesk
from ..newsstore import Letter
from ..newswords import words_of
from ..quantities import growing
from .events import ANSWER_OF, NEWS_FOR, PLANNED, SETTLED
from .posting import Answer
from .schedulers import found_scheduler
from .services import TimedService
from .soon import Soon

# a wake-up may be a little early after the last look
_EARLY = 5.0
_SOON = 1.0
# seconds until a receiver that did not take a message is tried again: the first time, and at most
_PAUSE, _LONGEST_PAUSE = 10.0, 3600.0
# a reporter has limits of its own, several of them one after the other
_ANSWER = 300.0


@dataclass(slots=True)
class _Line:
    """To one receiver."""

    tries: int = 0
    """that failed in a row"""
    is_busy: bool = False
    again: IDelayedCall | None = None

    @property
    def is_paused(self) -> bool:
        return self.again is not None and self.again.active()


class Notifier(TimedService):
    """Does nothing where nobody is to be told."""

    name = "notifier"
    every = 60.0
    doing = "wanting news"

    def __init__(self, farm: Farm) -> None:
        super().__init__(farm=farm)
        self._lines: dict[str, _Line] = {}
        self._answers: dict[tuple[str, str], defer.Deferred[Answer]] = {}
        self._soon = Soon(self, self._look, within=_SOON, doing="looking for news")
        self._looked = 0.0
        self._has_begun = False

    def reconfigService(self, farm: Farm) -> defer.Deferred[None]:
        self._desk = NewsDesk(settings=farm.settings, store=farm.store)
        self._has_begun = False
        for line in self._lines.values():
            _cancel(line.again)
        self._lines = {name: self._lines.get(name, _Line()) for name in self._desk.receivers}
        return defer.succeed(None)

    async def listen(self) -> None:
        await self.on(PLANNED, self._on_news)
        await self.on(SETTLED, self._on_news)
        await self.on((*ANSWER_OF, None), self._on_answer)

    @async_to_deferred
    async def stopService(self) -> None:
        await super().stopService()
        for line in self._lines.values():
            _cancel(line.again)
        # who does not answer now is told again after the next start
        for answer in list(self._answers.values()):
            answer.cancel()
        await self._soon.stop()

    def _on_news(self, key: object, message: object) -> None:
        self._soon.want()

    async def work(self) -> None:
        self._soon.want()

    async def _look(self) -> None:
        desk, now = self._desk, time.time()
        try:
            if not self._has_begun:
                await threads.deferToThread(desk.begin, now)
                self._has_begun = True
            if not desk.receivers:
                return
            scheduler = found_scheduler(self.master)
            plan = scheduler.plan if scheduler else None
            if plan and plan.builds:
                is_due = now - self._looked >= self.every - _EARLY
                if is_due or await threads.deferToThread(desk.is_urgent):
                    await threads.deferToThread(desk.look, plan.entries, plan.keys, plan.versions, now)
                    self._looked = now
        except KmodciError as error:
            log.msg(f"news are not looked for, tried again within a minute: {error}")
            return
        for name in desk.receivers:
            self._go_on(name)

    def _go_on(self, name: str) -> None:
        """With what is on its way to a receiver, if nothing of that is going on."""
        line = self._lines.get(name)
        if line and self.running and not line.is_busy and not line.is_paused:
            line.is_busy = True
            done = defer.ensureDeferred(self._tell(name, line))
            done.addErrback(log.err, f"while telling {name}")

    async def _tell(self, name: str, line: _Line) -> None:
        """All that is on its way to a receiver, until one does not arrive."""
        try:
            while self.running and self._lines.get(name) is line:
                letters, given_up = await threads.deferToThread(self._desk.waiting, name, time.time())
                for letter in given_up:
                    log.msg(f"notify: {name} did not take this, which is given up: {_brief(letter)}", receiver=name)
                if not letters or not self.running:
                    return
                answer = await self._hand(letters[0])
                if not await self._took(name, line, letters[0], answer):
                    return
        except KmodciError as error:
            log.msg(f"notify: {name} is told later: {error}", receiver=name)
        finally:
            line.is_busy = False

    async def _hand(self, letter: Letter) -> Answer:
        """To the reporter of its receiver."""
        name = (letter.receiver, letter.id)
        answer = self._answers[name] = defer.Deferred[Answer]()
        try:
            news = {"letter": letter.id, "news": letter.news.model_dump_json()}
            self.master.mq.produce((*NEWS_FOR, letter.receiver), news)
            return await answer.addTimeout(_ANSWER, self.master.reactor)
        except (defer.TimeoutError, defer.CancelledError):
            return Answer(is_good=False, said=f"no answer within {_ANSWER:.0f} s")
        finally:
            del self._answers[name]

    def _on_answer(self, key: tuple[str, ...], message: Mapping[str, object]) -> None:
        answer = self._answers.get((key[-1], str(message["letter"])))
        if answer is not None and not answer.called:
            answer.callback(message["answer"])

    async def _took(self, name: str, line: _Line, letter: Letter, answer: Answer) -> bool:
        """Whether there is no reason to wait with the next message."""
        if answer.is_good:
            await threads.deferToThread(self._desk.forget, letter)
            if line.tries:
                log.msg(f"notify: {name} takes messages again", receiver=name)
            line.tries = 0
            return True
        if not self.running:
            return False
        if answer.is_final:
            log.msg(f"notify: {name} refuses this, which is given up: {_brief(letter)}: {answer.said}", receiver=name)
            await threads.deferToThread(self._desk.refuse, letter)
            return True
        line.tries += 1
        if line.tries == 1:
            log.msg(f"notify: {name} is not reached, and tried for a day: {answer.said}", receiver=name)
        pause = growing(_PAUSE, line.tries, _LONGEST_PAUSE)
        line.again = self.master.reactor.callLater(pause, self._go_on, name)
        return False


def _brief(letter: Letter) -> str:
    return words_of(letter.news).title


def _cancel(call: IDelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()
