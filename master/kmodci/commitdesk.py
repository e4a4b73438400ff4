"""What there is to tell of commits: each receiver's notes say what it was told last.

How a commit stands is no event: what did not arrive is still to be told. Everything may block, and raises StoreError.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .commits import is_to_be_told, of_commit
from .coverage import Standing
from .model import ModuleVersion
from .news import CommitNews
from .newsstore import COMMIT_NOTES, MOST_WAITING, Letter, NewsStore
from .notifyfile import GitHubAt, Receiver
from .store import Store


@dataclass(slots=True, kw_only=True)
class CommitDesk:
    """Part of a `NewsDesk`."""

    store: Store
    receivers: Mapping[str, Receiver]
    _refused: dict[str, CommitNews] = field(default_factory=dict)
    """what a host would not take, by note: offered again when it changes, or by another start"""

    def forget_others(self) -> None:
        """What was told to any but the receivers there are now."""
        told = tuple(_note(name, at, "") for name, at in self._hosts.items())
        self.store.forget_metas(note for note in self.store.metas(COMMIT_NOTES) if not note.startswith(told))

    def letters(
        self,
        standing: Iterable[Standing],
        versions: Mapping[str, ModuleVersion],
        page: Callable[[Sequence[Standing]], str],
        now: float,
    ) -> dict[str, Letter]:
        """What there is to tell, by note. One that there is no room for is told when there is.

        versions: that these builds are of, by module; page: of some builds, asked for what is told; now: since the
        epoch.
        """
        if not self._hosts:
            return {}
        news = NewsStore(self.store)
        open_modules, noted = news.open_modules(), self.store.metas(COMMIT_NOTES)
        builds: dict[str, list[Standing]] = {module: [] for module in versions}
        for each in standing:
            builds.setdefault(each.entry.build_id.module, []).append(each)
        letters: dict[str, Letter] = {}
        for name, at in self._hosts.items():
            found: dict[str, CommitNews] = {}
            for module in versions.values():
                note = _note(name, at, module.module)
                told = of_commit(module, builds[module.module], host=at.host, open_modules=open_modules)
                if told and is_to_be_told(told, _commit_news(noted.get(note)) or self._refused.get(note)):
                    found[note] = told
            room = MOST_WAITING - len(news.letters(name)) if found else 0
            for note, told in list(found.items())[: max(0, room)]:
                paged = told.model_copy(update={"url": page(builds[told.module])})
                letters[note] = Letter(receiver=name, id=f"commit/{told.module}/{now:.3f}", written=now, news=paged)
        return letters

    def notes_of(self, letters: Iterable[Letter]) -> dict[str, CommitNews]:
        """The notes that say the same as these letters: the last that was to be told of a commit."""
        noted, found = self.store.metas(COMMIT_NOTES), {}
        for each in letters:
            at = self._hosts.get(each.receiver)
            if at and isinstance(each.news, CommitNews):
                note = _note(each.receiver, at, each.news.module)
                if _commit_news(noted.get(note)) == each.news:
                    found[note] = each.news
        return found

    def refused(self, letter: Letter) -> Iterable[str]:
        """It is not offered again. The notes that are not true then."""
        notes = self.notes_of([letter])
        self._refused.update(notes)
        return notes

    @property
    def _hosts(self) -> dict[str, GitHubAt]:
        return {name: each.github for name, each in self.receivers.items() if each.github}


def _note(receiver: str, at: GitHubAt, module: str) -> str:
    """Under which it is noted what a receiver was told of a module's commit."""
    return f"{COMMIT_NOTES}{receiver}/{at.context}/{module}"


def _commit_news(note: str | None) -> CommitNews | None:
    return CommitNews.model_validate_json(note) if note else None
