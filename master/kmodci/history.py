"""What has been, in the database: when kernels appeared, how long their modules took, how coverage went.

For charts, and for "how long did the newest kernels take". Nothing is decided from it: all of it may be lost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict

import sqlalchemy as sa

from .coverage import Tally
from .model import Kernel, Outcome, Status
from .past import Arrival, PastTally
from .store import Store
from .tables import APPEARANCES, ARRIVALS, TALLIES

HOUR = 3600.0
"""seconds; of each there is one tally"""
_COUNTED = (Status.BUILT, Status.FAILED, Status.UNAVAILABLE, Status.SKIPPED, Status.PENDING)


class History:
    """Every method is one transaction, may be called from any thread, and raises StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def appeared(self, kernels: Iterable[Kernel], when: float) -> None:
        """Kernels, or new packages of them, that were not there before. when: seconds since the epoch."""
        rows = [{"kernel": str(kernel), "version": kernel.version, "appeared": when} for kernel in kernels]
        self._store.replace("write when kernels appeared", APPEARANCES, rows)

    def built(self, outcome: Outcome) -> None:
        """Notes how long a module took, the first time that it is built for these packages of its kernel."""
        build = outcome.build_id
        kernel = f"{build.target}/{build.release}"
        with self._store.transaction("write how long a module took") as connection:
            found = sa.select(APPEARANCES.c.appeared).where(
                APPEARANCES.c.kernel == kernel, APPEARANCES.c.version == outcome.kernel_version
            )
            appeared = connection.execute(found).scalar()
            before = sa.select(ARRIVALS.c.built).where(
                ARRIVALS.c.build_id == str(build), ARRIVALS.c.kernel_version == outcome.kernel_version
            )
            if appeared is not None and connection.execute(before).scalar() is None:
                row = Arrival(
                    build_id=str(build),
                    kernel_version=outcome.kernel_version,
                    appeared=appeared,
                    built=outcome.finished,
                )
                connection.execute(ARRIVALS.insert(), [asdict(row)])

    def arrivals(self, *, since: float = 0.0) -> tuple[Arrival, ...]:
        """In the order in which they were built. since: seconds since the epoch."""
        query = sa.select(ARRIVALS).where(ARRIVALS.c.built >= since).order_by(ARRIVALS.c.built, ARRIVALS.c.build_id)
        return tuple(Arrival(**row) for row in self._store.rows("read how long modules took", query))

    def appearances(self) -> dict[tuple[str, str], float]:
        """When kernels appeared, of those that did while the farm watched, by `target/release` and package version."""
        rows = self._store.rows("read when kernels appeared", sa.select(APPEARANCES))
        return {(row["kernel"], row["version"]): row["appeared"] for row in rows}

    def note_tallies(self, tallies: Mapping[str, Tally], now: float) -> None:
        """How things stand; of an hour the last counts. tallies: by module; now: seconds since the epoch."""
        hour = now - now % HOUR
        rows = [
            {"hour": hour, "module": module, **{str(status): tally[status] for status in _COUNTED}}
            for module, tally in tallies.items()
        ]
        self._store.replace("write how coverage is", TALLIES, rows)

    def tallies(self, *, since: float = 0.0) -> tuple[PastTally, ...]:
        """In the order of time, then of modules. since: seconds since the epoch."""
        query = sa.select(TALLIES).where(TALLIES.c.hour >= since).order_by(TALLIES.c.hour, TALLIES.c.module)
        return tuple(
            PastTally(
                when=row["hour"],
                module=row["module"],
                tally=Tally(counts={status: row[str(status)] for status in _COUNTED}),
            )
            for row in self._store.rows("read how coverage was", query)
        )

    def forget(self, *, before: float) -> None:
        """What is older than that. before: seconds since the epoch."""
        with self._store.transaction("forget what has been") as connection:
            connection.execute(TALLIES.delete().where(TALLIES.c.hour < before))
            connection.execute(ARRIVALS.delete().where(ARRIVALS.c.built < before))
            connection.execute(APPEARANCES.delete().where(APPEARANCES.c.appeared < before))
