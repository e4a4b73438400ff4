"""How Buildbot's database is opened, and when it is lost.

SQLite: once, and without a wait for the disk at every statement. Buildbot 4.3.0 opens and closes a connection per
query (`NullPool` in buildbot/db/enginestrategy.py). To close the last one writes the whole write-ahead log back and
waits for the disk; so does each commit, some hundred per build.
"""

import contextlib
import os
import sqlite3

import psycopg
import sqlalchemy as sa

# The low byte of an extended result code (https://www.sqlite.org/rescode.html)
_LOST = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    }
)
# out of room or memory; stopped by an operator; broken (https://www.postgresql.org/docs/17/errcodes-appendix.html)
_AWAY = frozenset({"08", "53", "57", "58", "XX"})


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
        # a server that was started again since has ended its connections
        return {"pool_pre_ping": True}
    # Buildbot uses one thread for all of SQLite, so one connection is enough
    return {"poolclass": sa.QueuePool, "pool_size": 1, "connect_args": {"factory": _Connection}}


def end_when_lost(url: str) -> None:
    """Ends this process at the first error of this database that is not about waiting for a lock: a full disk, or a
    PostgreSQL that is away.

    Buildbot 4.3.0 goes on without what it could not write: builds that never end, requests that nobody takes. A
    master that is killed loses nothing, so it is better to be that.
    """
    place = sa.make_url(url)

    def ended(context: sa.engine.ExceptionContext) -> None:
        error = context.original_exception
        if context.engine is None or context.engine.url.database != place.database:
            return
        if context.is_pre_ping:
            # it is connected to anew, and only that may fail
            return
        if _is_lost(error):
            with contextlib.suppress(OSError):
                os.write(2, f"the master ends, to be started again: {place.database}: {error}\n".encode())
            os._exit(1)

    sa.event.listen(sa.Engine, "handle_error", ended)


def _is_lost(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOST
    # without a state, it was libpq that said so and no server: there is no connection
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate is None or error.sqlstate[:2] in _AWAY)
