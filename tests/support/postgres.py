"""A PostgreSQL server of a test's own, on a unix socket in its folder. Its programs are the distribution's."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from support.farm import until

USER, PASSWORD = "farm", "a 'secret' of the: test's \\ own"


def program(name: str) -> str:
    """Debian has them in a folder of their version's, of which the newest is taken."""
    [*_, newest] = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(newest)


class Postgres:
    """`with Postgres() as server:`; logins take the password. PostgreSQL refuses root, so it runs as nobody."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kmodci-pg-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def passfile(self, at: Path) -> Path:
        """Writes one, for the farm's user."""
        at.touch(mode=0o600)
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        at.write_text(f"*:*:*:{USER}:{escaped}\n")
        return at

    def database(self) -> str:
        """An empty one, of its own for whoever asks: its name."""
        self._databases += 1
        name = f"test{self._databases}"
        with self._connected("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def _connected(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.folder), user=USER, password=PASSWORD, dbname=database, autocommit=True, connect_timeout=5
        )

    def start(self) -> None:
        """Returns when it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", f"{self.folder}/data", "-k", str(self.folder), "-c", "listen_addresses="],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **_nobody(),
            )  # fmt: skip
        until(self._answers, told=lambda: (self.folder / "log").read_text()[-2000:])

    def stop(self) -> None:
        assert self._process is not None
        # SIGINT: sessions are ended (pg_ctl's "fast")
        self._process.send_signal(2)
        self._process.wait(60)
        self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            self._connected("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def __enter__(self) -> Self:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (self.folder, secret):
                shutil.chown(path, "nobody")
        command = ["-D", f"{self.folder}/data", "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync"]
        done = subprocess.run([program("initdb"), *command], capture_output=True, text=True, check=False, **_nobody())
        assert done.returncode == 0, done.stderr
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.stop()
        shutil.rmtree(self.folder)


def _nobody() -> Mapping[str, object]:
    if os.getuid() != 0:
        return {}
    found = pwd.getpwnam("nobody")
    # initdb and postgres want a folder that they may be in
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": [], "cwd": "/"}
