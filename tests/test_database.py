"""What ends a master whose database is lost, and what does not."""

import subprocess
import sys
from pathlib import Path

import pytest
from kmodci.schema import Database
from support.postgres import Postgres

_CODE = """
import sys
import sqlalchemy as sa
from kmodci.bot.database import end_when_lost, engine_arguments
url = sys.argv[1]
end_when_lost(url)
engine = sa.create_engine(url, **engine_arguments(url))
def ask(words):
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(words))
    except sa.exc.SQLAlchemyError as error:
        print("went on:", type(error).__name__, flush=True)
    else:
        print("did it", flush=True)
for line in sys.stdin:
    ask(line)
"""


@pytest.mark.slow
def test_a_server_that_is_away_ends_the_master_and_one_that_was_does_not(tmp_path: Path) -> None:
    with Postgres() as server:
        at = Database(url=server.url(server.database()), passfile=server.passfile(tmp_path / "passfile"))
        process = subprocess.Popen(
            [sys.executable, "-c", _CODE, at.whole],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdin and process.stdout

        def said(words: str) -> str:
            assert process.stdin and process.stdout
            process.stdin.write(f"{words}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert said("SELECT 1") == "did it"
        assert said("SELECT nonsense") == "went on: ProgrammingError"
        server.stop()
        server.start()
        assert said("SELECT 2") == "did it", "the connection of before is made anew"
        server.stop()
        assert said("SELECT 3") == ""
        _, error = process.communicate()
        assert process.returncode == 1
        assert "the master ends, to be started again" in error
