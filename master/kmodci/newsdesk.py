"""Finds out what is worth telling, writes it to whom it concerns, and keeps it until it has arrived.

Everything may block, raises StoreError, and may be called again then: what is to be told is written down together
with that it is taken care of. One per farm, in the master.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from .commitdesk import CommitDesk
from .coverage import Standing, standings
from .matrix import Entry
from .model import ModuleVersion
from .news import CommitNews, FailureNews, ManyFailuresNews, News, RunNews, TestNews
from .newsstore import MOST_WAITING, Letter, NewsStore
from .newsworthy import Known, failing, follow, is_news, is_ripe, of_failures, of_run
from .notifyfile import Receiver, addressees
from .runstore import RunStore
from .settings import Settings
from .store import Store

LIFETIME = 86_400.0
"""seconds that a letter is tried for"""


@dataclass(slots=True, kw_only=True)
class NewsDesk:
    """Of one farm."""

    settings: Settings
    store: Store
    _open: frozenset[str] | None = None
    """the runs that were open at the last look"""
    _commits: CommitDesk = field(init=False)

    def __post_init__(self) -> None:
        self._commits = CommitDesk(store=self.store, receivers=self.receivers)

    @property
    def receivers(self) -> Mapping[str, Receiver]:
        return addressees(self.settings.notify)

    @property
    def news(self) -> NewsStore:
        return NewsStore(self.store)

    @property
    def runs(self) -> RunStore:
        return RunStore(self.store)

    def begin(self, now: float) -> None:
        """At a start. What was before the first start with a receiver is no news. now: seconds since the epoch."""
        if not self.receivers:
            self.news.forget()
            return
        self.news.forget_others(self.receivers.keys())
        self._commits.forget_others()
        if not self.news.since():
            self.news.begin(now)

    def is_urgent(self) -> bool:
        """Whether a run has ended or begun since the last look: cheap to ask, while a look reads all outcomes."""
        is_open = frozenset(run.id for run in self.runs.runs(is_open=True))
        return is_open != self._open or bool(self.news.untold_runs(self.news.since()))

    def look(
        self, entries: Sequence[Entry], keys: Mapping[str, str], versions: Mapping[str, ModuleVersion], now: float
    ) -> None:
        """Writes what there is to tell. now: seconds since the epoch.

        entries, keys, versions: the matrix as it was planned last, all of one plan. The store may have a newer version
        of a module by now, of which these outcomes say nothing.
        """
        ended, open_runs = self.news.untold_runs(self.news.since()), self.runs.runs(is_open=True)
        # read after the runs: what ended with them is among them
        standing = standings(entries, self.store.outcomes(), keys)
        before = self.news.known()
        known = follow(before, standing, now=now, since=self.news.since())
        news: list[tuple[str, News]] = []
        for run in ended:
            run_entries = self.runs.entries(run.id)
            if is_news(run, run_entries):
                told = of_run(run, run_entries, mended=[each for each in known if each.mended], url=self._page(run.id))
                news.append((f"run/{run.id}", told))
                if not told.is_forced:
                    known = tuple(each for each in known if not each.mended)
        failures, known = self._failures(
            known, standing, [each for each in known if is_ripe(each, open_runs, now)], now
        )
        commits = self._commits.letters(standing, versions, self._page_of, now)
        self.news.write(
            gone=set(before).difference(known),
            known=set(known).difference(before),
            runs=[run.id for run in ended],
            notes={note: letter.news.model_dump_json() for note, letter in commits.items()},
            letters=[*self._letters([*news, *failures], now), *commits.values()],
        )
        self._open = frozenset(run.id for run in open_runs)

    def waiting(self, receiver: str, now: float) -> tuple[list[Letter], list[Letter]]:
        """What is on its way to a receiver, the oldest first; and what is given up, and forgotten by this.

        What it does not want is forgotten, too: a receiver of another kind may have had its name before.
        """
        found = self.news.letters(receiver)
        letters = [each for each in found if wants(self.receivers[receiver], each.news)]
        late = [each for each in letters if now - each.written > LIFETIME]
        given_up = late if len(letters) - len(late) <= MOST_WAITING else letters[: len(letters) - MOST_WAITING]
        if given_up or len(letters) < len(found):
            unwanted = [each for each in found if not wants(self.receivers[receiver], each.news)]
            # how a commit stands is still to be told
            self.news.forget_letters([*given_up, *unwanted], notes=self._commits.notes_of(given_up))
        return letters[len(given_up) :], given_up

    def forget(self, letter: Letter) -> None:
        """It has arrived."""
        self.news.forget_letters([letter])

    def refuse(self, letter: Letter) -> None:
        """Its receiver will never take it."""
        self.news.forget_letters([letter], notes=self._commits.refused(letter))

    def _failures(
        self, known: tuple[Known, ...], standing: Sequence[Standing], ripe: Sequence[Known], now: float
    ) -> tuple[list[tuple[str, News]], tuple[Known, ...]]:
        """What there is to tell of them, each with its id, and all groups as they are after that."""
        if not ripe:
            return [], known
        groups = failing(standing)
        ripe = [each for each in ripe if each.name in groups]
        pages = {each.name: self._page_of(groups[each.name]) for each in ripe}
        names = {each.name for each in ripe}
        news: list[tuple[str, News]] = [(_name(each, now), each) for each in of_failures(ripe, groups, pages)]
        return news, tuple(replace(each, told=now) if each.name in names else each for each in known)

    def _letters(self, news: Iterable[tuple[str, News]], now: float) -> list[Letter]:
        return [
            Letter(receiver=name, id=identity, written=now, news=each)
            for identity, each in news
            for name, receiver in self.receivers.items()
            if wants(receiver, each)
        ]

    def _page(self, run: str) -> str:
        return f"{self.settings.web.address}kmodci/runs{f'/{run}' if run else ''}"

    def _page_of(self, builds: Sequence[Standing]) -> str:
        """The page of the newest run that one of these was part of."""
        last = max(builds, key=lambda each: each.outcome.finished if each.outcome else 0.0, default=None)
        return self._page(self.news.last_run_of(str(last.entry.build_id)) if last else "")


def wants(receiver: Receiver, news: News) -> bool:
    """Whether it is to be told so."""
    match news:
        case CommitNews():
            return receiver.github is not None and receiver.github.host == news.host
        case RunNews():
            return receiver.github is None and "runs" in receiver.on and (receiver.forced or not news.is_forced)
        case FailureNews() | ManyFailuresNews():
            return receiver.github is None and "failures" in receiver.on
        case TestNews():
            return True
    assert_never(news)


def _name(news: News, now: float) -> str:
    """What a letter is called."""
    match news:
        case FailureNews():
            digest = hashlib.sha256(f"{news.module}\n{news.cause}".encode()).hexdigest()[:16]
            return f"failure/{digest}/{news.since:.3f}"
    return f"{news.kind}/{now:.3f}"
