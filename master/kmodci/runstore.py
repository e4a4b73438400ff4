"""Runs and holds in the database: what `store` is for kernels and outcomes."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import sqlalchemy as sa

from .matrix import Why
from .model import BuildId, Hold
from .runs import Ending, Run, RunEntry, Totals
from .store import Store
from .tables import HOLDS, RUN_ENTRIES, RUNS

_ENDED = ("ending", "cause", "finished", "seconds", "make_seconds", "build_url")


class RunStore:
    """Every method is one transaction, may be called from any thread, and raises StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put_run(self, run: Run, entries: Sequence[RunEntry]) -> None:
        """A new run, with all its entries in their order."""
        rows = [_row(run.id, position, entry) for position, entry in enumerate(entries)]
        with self._store.transaction("write a run") as connection:
            connection.execute(RUNS.insert(), [_run_row(run)])
            if rows:
                connection.execute(RUN_ENTRIES.insert(), rows)

    def update_run(self, run: Run) -> None:
        """What is known of a run anew: its end, or who cancelled it."""
        self._store.replace("write a run", RUNS, [_run_row(run)])

    def update_entries(self, run: str, entries: Iterable[RunEntry]) -> None:
        """How entries ended. run: its id."""
        rows = [
            {
                "b_run": run,
                "b_build": str(each.build_id),
                **{f"n_{name}": value for name, value in _ended(each).items()},
            }
            for each in entries
        ]
        if not rows:
            return
        change = (
            RUN_ENTRIES.update()
            .where(RUN_ENTRIES.c.run == sa.bindparam("b_run"), RUN_ENTRIES.c.build_id == sa.bindparam("b_build"))
            .values({name: sa.bindparam(f"n_{name}") for name in _ENDED})
        )
        with self._store.transaction("write entries of a run") as connection:
            connection.execute(change, rows)

    def runs(self, *, is_open: bool | None = None, limit: int | None = None) -> list[Run]:
        """The newest first. is_open: only those that have not ended, or only those that have."""
        query = sa.select(RUNS).order_by(RUNS.c.started.desc(), RUNS.c.id.desc())
        if is_open is not None:
            query = query.where(RUNS.c.finished == 0 if is_open else RUNS.c.finished != 0)
        if limit is not None:
            query = query.limit(limit)
        return [Run(**row) for row in self._store.rows("read runs", query)]

    def run(self, run: str) -> Run | None:
        """By its id."""
        query = sa.select(RUNS).where(RUNS.c.id == run)
        return next((Run(**row) for row in self._store.rows("read a run", query)), None)

    def entries(self, run: str) -> tuple[RunEntry, ...]:
        """Of one run, in the order of its plan."""
        query = sa.select(RUN_ENTRIES).where(RUN_ENTRIES.c.run == run).order_by(RUN_ENTRIES.c.position)
        return tuple(_entry(row) for row in self._store.rows("read a run", query))

    def waiting_for(self, build_id: BuildId) -> str:
        """The id of the open run that a build is still to be built for; empty if it is built for none."""
        still_open = sa.select(RUNS.c.id).where(RUNS.c.finished == 0)
        query = sa.select(RUN_ENTRIES.c.run).where(
            RUN_ENTRIES.c.run.in_(still_open), RUN_ENTRIES.c.build_id == str(build_id), RUN_ENTRIES.c.ending == ""
        )
        return next((row["run"] for row in self._store.rows("find the run of a build", query)), "")

    def totals(self, runs: Collection[str]) -> dict[str, Totals]:
        """By run, without reading every entry. runs: ids."""
        entries = RUN_ENTRIES.c
        query = (
            sa.select(
                entries.run,
                entries.ending,
                sa.func.count().label("builds"),
                sa.func.sum(entries.seconds).label("seconds"),
                sa.func.sum(entries.make_seconds).label("make_seconds"),
            )
            .where(entries.run.in_(list(runs)))
            .group_by(entries.run, entries.ending)
        )
        found: dict[str, list[sa.RowMapping]] = {run: [] for run in runs}
        for row in self._store.rows("add up runs", query):
            found[row["run"]].append(row)
        return {run: _totals(rows) for run, rows in found.items()}

    def forget_runs(self, runs: Iterable[str]) -> None:
        """Takes runs and their entries away."""
        ids = list(runs)
        with self._store.transaction("forget runs") as connection:
            connection.execute(RUN_ENTRIES.delete().where(RUN_ENTRIES.c.run.in_(ids)))
            connection.execute(RUNS.delete().where(RUNS.c.id.in_(ids)))

    def holds(self) -> dict[str, Hold]:
        """By build id."""
        return {row["build_id"]: _hold(row) for row in self._store.rows("read holds", sa.select(HOLDS))}

    def hold(self, build_id: BuildId) -> Hold | None:
        query = sa.select(HOLDS).where(HOLDS.c.build_id == str(build_id))
        return next((_hold(row) for row in self._store.rows("read a hold", query)), None)

    def put_holds(self, holds: Iterable[Hold]) -> None:
        """Each instead of what held its build before."""
        self._store.replace("write holds", HOLDS, [_hold_row(hold) for hold in holds])

    def release(self, build_ids: Iterable[BuildId]) -> None:
        """Nothing holds these builds any more."""
        self._store.replace("release holds", HOLDS, [], away=[{"build_id": str(each)} for each in build_ids])

    def make_due(self, now: float) -> None:
        """What the farm failed is due now, whatever its pause would have been: at a start, the fault may be mended."""
        change = HOLDS.update().where(HOLDS.c.tries > 0).values(until=now)
        with self._store.transaction("release holds") as connection:
            connection.execute(change)


def _totals(rows: Sequence[sa.RowMapping]) -> Totals:
    return Totals(
        planned=sum(row["builds"] for row in rows),
        endings={Ending(row["ending"]): row["builds"] for row in rows if row["ending"]},
        seconds=sum(row["seconds"] for row in rows),
        make_seconds=sum(row["make_seconds"] for row in rows),
    )


def _ended(entry: RunEntry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in _ENDED} | {"ending": entry.ending or ""}


def _row(run: str, position: int, entry: RunEntry) -> dict[str, object]:
    return {
        "run": run,
        "build_id": str(entry.build_id),
        "position": position,
        "chunk": entry.chunk,
        "key": entry.key,
        "why": entry.why,
        "outcome_before": entry.outcome_before,
        "hold_before": entry.hold_before,
        **_ended(entry),
    }


def _entry(row: sa.RowMapping) -> RunEntry:
    known = {name: row[name] for name in ("key", "chunk", "outcome_before", "hold_before", *_ENDED[1:])}
    return RunEntry(
        build_id=BuildId.parse(row["build_id"]),
        why=Why(row["why"]),
        ending=Ending(row["ending"]) if row["ending"] else None,
        **known,
    )


def _run_row(run: Run) -> dict[str, object]:
    return {column.name: getattr(run, column.name) for column in RUNS.c}


def _hold_row(hold: Hold) -> dict[str, object]:
    names = ("key", "reason", "tries", "noted")
    until = None if math.isinf(hold.until) else hold.until
    return {"build_id": str(hold.build_id), "until": until} | {name: getattr(hold, name) for name in names}


def _hold(row: sa.RowMapping) -> Hold:
    found = Hold(**{**row, "build_id": BuildId.parse(row["build_id"]), "until": 0.0})
    return replace(found, until=math.inf if row["until"] is None else row["until"])
