"""What must happen before the master starts."""

import sqlalchemy as sa

from ..settings import Settings
from ..where import buildbot_database


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
