"""What all tests share."""

# Twisted 26.10 warns where Buildbot 4.3.0 imports all of twisted.internet.ssl; buildbot.test, which some tests use,
# makes every later warning an error.
from collections.abc import Iterator
from pathlib import Path

import buildbot.util.ssl  # noqa: F401 for the import alone
import pytest
from hypothesis import HealthCheck, settings
from kmodci.schema import Database
from support.postgres import Postgres

# How long it takes to make an example says how busy the machine is, and nothing about the code.
settings.register_profile("kmodci", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kmodci")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL."""
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'kmodci.sqlite'}"
    server: Postgres = request.getfixturevalue("postgres")
    at = Database(url=server.url(server.database()), passfile=server.passfile(tmp_path / "passfile"))
    return at.whole
