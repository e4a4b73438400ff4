"""What must happen before the master starts."""

import fcntl
import os
import sys
import time
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from ..errors import KmodciError
from ..memory import recall
from ..settings import Settings
from ..store import Store
from ..where import bucket_of, buildbot_database

_MOMENT = 1.0
_locks: list[IO[str]] = []


def lock_state(basedir: Path) -> None:
    """Ends this process if another master has this state: both would build everything.

    The lock is held for as long as this process lives, however it ends; the file says which that is.
    """
    lock = (basedir / "lock").open("a")
    # who only asks whether a master runs holds it for a moment
    deadline = time.monotonic() + _MOMENT
    while not _taken(lock):
        if time.monotonic() > deadline:
            sys.exit(f"another master is running on {basedir}: stop it first")
        time.sleep(0.02)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    _locks.append(lock)


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remember(settings: Settings) -> None:
    """Ends this process if the database is new and the bucket does not say what an earlier one knew.

    Before anything else looks at either: what is learned meanwhile would be in the way of it, and then be written over
    it. A database that is not new, and a new farm whose bucket answers, lose no time here.
    """
    store = Store(settings.database_url)
    try:
        store.create()
        if rows := recall(store, bucket_of(settings)):
            print(f"the database is new: it is told {rows} rows that the bucket has of an earlier one", file=sys.stderr)
    except KmodciError as error:
        sys.exit(f"the master does not start: {error}")
    finally:
        store.close()


def mark_active(settings: Settings) -> None:
    """Makes Buildbot 4.3.0 clean up after a master that was killed while it started.

    A build may start before the master's row says "active"; when it is killed then, the next start
    skips the housekeeping (`masterStopped` returns early for an inactive row), and the build's
    request stays claimed for ever.
    """
    engine = sa.create_engine(buildbot_database(settings))
    try:
        with engine.begin() as connection:
            if sa.inspect(connection).has_table("masters"):
                connection.execute(sa.text("UPDATE masters SET active = 1"))
    finally:
        engine.dispose()
