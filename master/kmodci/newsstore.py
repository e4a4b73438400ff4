"""News in the database: what is known to have been told, and what is on its way."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import sqlalchemy as sa

from .news import NEWS, News
from .newsworthy import Known
from .runs import Run
from .store import Store
from .tables import META, NEWS_GROUPS, NEWS_LETTERS, NEWS_RUNS, RUN_ENTRIES, RUNS

_SINCE = "news/since"
COMMIT_NOTES = "news/commit/"
MOST_WAITING = 200
"""letters to one receiver; beyond, the oldest are given up"""
_NO_NOTES: Mapping[str, str] = MappingProxyType({})
_OLD_GROUP = sa.and_(
    NEWS_GROUPS.c.module == sa.bindparam("old_module"), NEWS_GROUPS.c.cause == sa.bindparam("old_cause")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """News on its way to one receiver."""

    receiver: str
    id: str
    """the same if it is told twice"""
    written: float
    """seconds since the epoch"""
    news: News


class NewsStore:
    """Every method is one transaction, may be called from any thread, and raises StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def since(self) -> float:
        """From when on things are told, in seconds since the epoch; 0 if nobody was to be told of anything yet."""
        return float(self._store.meta(_SINCE) or 0)

    def begin(self, now: float) -> None:
        """What was before now is known to everybody."""
        self._store.put_meta(_SINCE, repr(now))

    def forget(self) -> None:
        """Nobody is to be told of anything any more."""
        with self._store.transaction("forget news") as connection:
            for table in (NEWS_GROUPS, NEWS_RUNS, NEWS_LETTERS):
                connection.execute(table.delete())
            connection.execute(META.delete().where(META.c.key.startswith("news/", autoescape=True)))

    def untold_runs(self, since: float) -> list[Run]:
        """That have ended since then, and of which nothing was told. The oldest first."""
        query = (
            sa.select(RUNS)
            .where(RUNS.c.finished != 0, RUNS.c.finished >= since, RUNS.c.id.not_in(sa.select(NEWS_RUNS.c.run)))
            .order_by(RUNS.c.finished, RUNS.c.id)
        )
        return [Run(**row) for row in self._store.rows("read runs", query)]

    def last_run_of(self, build_id: str) -> str:
        """The newest run that a build was part of; empty if it was of none."""
        query = sa.select(sa.func.max(RUN_ENTRIES.c.run).label("run")).where(RUN_ENTRIES.c.build_id == build_id)
        return str(self._store.rows("find the run of a build", query)[0]["run"] or "")

    def open_modules(self) -> frozenset[str]:
        """The modules that an open run has still builds of."""
        query = (
            sa.select(RUN_ENTRIES.c.build_id)
            .join(RUNS, RUNS.c.id == RUN_ENTRIES.c.run)
            .where(RUNS.c.finished == 0, RUN_ENTRIES.c.ending == "")
        )
        return frozenset(row["build_id"].partition("/")[0] for row in self._store.rows("read open runs", query))

    def known(self) -> tuple[Known, ...]:
        """The groups of failures that are known."""
        rows = self._store.rows("read groups of failures", sa.select(NEWS_GROUPS))
        return tuple(Known(**{**row, "builds": frozenset(row["builds"])}) for row in rows)

    def write(
        self,
        *,
        letters: Iterable[Letter] = (),
        known: Iterable[Known] = (),
        gone: Iterable[Known] = (),
        runs: Iterable[str] = (),
        notes: Mapping[str, str] = _NO_NOTES,
    ) -> None:
        """What is to be told, and that it is taken care of: both, or neither. Nothing is written if that is all.

        known: groups that are new, or have changed; gone: those that are not known any more, or have changed; runs: ids
        of those that are done with; notes: by name.
        """
        old = [{"old_module": each.module, "old_cause": each.cause} for each in gone]
        groups = [{**{name: getattr(each, name) for name in _GROUP}, "builds": sorted(each.builds)} for each in known]
        done = [{"run": run} for run in runs]
        posted = [
            {
                "receiver": each.receiver,
                "id": each.id,
                "written": each.written,
                "news": each.news.model_dump(mode="json"),
            }
            for each in letters
        ]
        if not (old or groups or done or notes or posted):
            return
        with self._store.transaction("write news") as connection:
            if old:
                connection.execute(NEWS_GROUPS.delete().where(_OLD_GROUP), old)
            # as long as a run is remembered, so is that it was told
            connection.execute(NEWS_RUNS.delete().where(NEWS_RUNS.c.run.not_in(sa.select(RUNS.c.id))))
            for key in notes:
                connection.execute(META.delete().where(META.c.key == key))
            rows = [{"key": key, "value": value} for key, value in notes.items()]
            for table, found in ((NEWS_GROUPS, groups), (NEWS_RUNS, done), (META, rows), (NEWS_LETTERS, posted)):
                if found:
                    connection.execute(table.insert(), found)

    def letters(self, receiver: str = "") -> list[Letter]:
        """On their way, the oldest first. receiver: its name; empty for all."""
        query = sa.select(NEWS_LETTERS).order_by(NEWS_LETTERS.c.written, NEWS_LETTERS.c.id)
        if receiver:
            query = query.where(NEWS_LETTERS.c.receiver == receiver)
        rows = self._store.rows("read letters", query)
        return [Letter(**{**row, "news": NEWS.validate_python(row["news"])}) for row in rows]

    def forget_letters(self, letters: Sequence[Letter], notes: Iterable[str] = ()) -> None:
        """They have arrived, or never will. notes: what was noted with them, by name, and is not true then."""
        # the other way round, one that is killed between the two has neither told nor will
        self._store.forget_metas(notes)
        away = [{"receiver": each.receiver, "id": each.id} for each in letters]
        self._store.replace("forget letters", NEWS_LETTERS, [], away=away)

    def forget_others(self, receivers: Collection[str]) -> None:
        """What is on its way to any but these: they are not configured any more."""
        gone = NEWS_LETTERS.delete().where(NEWS_LETTERS.c.receiver.not_in(list(receivers)))
        with self._store.transaction("forget letters") as connection:
            connection.execute(gone)


_GROUP = ("module", "cause", "seen", "told", "mended")
