"""How Buildbot's SQLite file is opened: once, and without a wait for the disk at every statement.

Buildbot 4.3.0 opens and closes a connection per query (`NullPool` in buildbot/db/enginestrategy.py). To close the
last one writes the whole write-ahead log back and waits for the disk; so does each commit, some hundred per build.
"""

import sqlite3

import sqlalchemy as sa


class _Connection(sqlite3.Connection):
    """Commits are in order and survive the end of the process, not that of the machine: which loses history, no module.

    See https://www.sqlite.org/pragma.html#pragma_synchronous for NORMAL with a write-ahead log.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # whatever sqlite3.connect was given
        self.execute("PRAGMA synchronous = NORMAL")


def engine_arguments(url: str) -> dict[str, object]:
    """What Buildbot is to hand on to SQLAlchemy's `create_engine` for this database."""
    if not url.startswith("sqlite"):
        return {}
    # Buildbot uses one thread for all of SQLite, so one connection is enough
    return {"poolclass": sa.QueuePool, "pool_size": 1, "connect_args": {"factory": _Connection}}
