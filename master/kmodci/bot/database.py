"""How Buildbot's SQLite file is opened: once, and without a wait for the disk at every statement; and when it is lost.

Buildbot 4.3.0 opens and closes a connection per query (`NullPool` in buildbot/db/enginestrategy.py). To close the
last one writes the whole write-ahead log back and waits for the disk; so does each commit, some hundred per build.
"""

import contextlib
import os
import sqlite3

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


def end_when_lost(url: str) -> None:
    """Ends this process at the first error of this database that is not about waiting for a lock, as a full disk is.

    Buildbot 4.3.0 goes on without what it could not write: builds that never end, requests that nobody takes. A
    master that is killed loses nothing, so it is better to be that.
    """
    place = sa.make_url(url)

    def ended(context: sa.engine.ExceptionContext) -> None:
        error = context.original_exception
        if context.engine is None or context.engine.url.database != place.database:
            return
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOST:
            with contextlib.suppress(OSError):
                os.write(2, f"the master ends, to be started again: {place.database}: {error}\n".encode())
            os._exit(1)

    sa.event.listen(sa.Engine, "handle_error", ended)
