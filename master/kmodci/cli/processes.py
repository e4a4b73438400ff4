"""The processes of a farm on one machine: the embedded S3 server and the Buildbot master.

Each runs in a session of its own, so that a Ctrl-C in the terminal reaches only the command that
decides what it means, and a detached farm outlives its terminal.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import sqlalchemy as sa

from ..errors import KmodciError, StoreError
from ..logfiles import roll
from ..paths import Paths, checkout
from ..settings import load
from ..store import Store
from ..where import buildbot_database

# What a master needs of the environment; the rest of it (tokens, passwords) is none of its business.
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy",
           "KMODCI_URL")  # fmt: skip
# a note of the store's: the version of Buildbot that its tables are for
_UPGRADED = "buildbot-tables"


@dataclass(frozen=True, slots=True)
class MasterProcess:
    """The Buildbot master of one state folder, found again by the lock that it holds."""

    paths: Paths
    config_dir: Path
    scope: str
    modules: tuple[str, ...]

    def pid(self) -> int | None:
        """Of the running master, or None."""
        with (self.paths.master / "lock").open("a+") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    lock.seek(0)
                    if written := lock.read():
                        return int(written)
                    time.sleep(0.01)  # who has just taken it is about to write that down
                else:
                    return None

    @contextmanager
    def kept_out(self, advice: str = "") -> Iterator[None]:
        """No master runs in this block, and none can start. Raises StoreError if one does; advice: what to do then."""
        with (self.paths.master / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise StoreError(
                    f"a farm is running on {self.paths.state} (process {lock.read()}), and writes the index itself",
                    hint=f"{advice}stop it first: scripts/quickstart --stop, or docker compose stop master",
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def start(self, *, url: str, seconds: float = 60) -> None:
        """Returns when the web UI answers. Raises KmodciError with the last lines of the log if it does not."""
        self.upgrade_database()
        words = self.paths.logs / "master.out"
        roll(words)
        output = words.open("ab")
        process = subprocess.Popen(
            self._command(),
            cwd=self.paths.master,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        output.close()
        deadline = time.monotonic() + seconds
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise KmodciError(
                    f"the Buildbot master did not start:\n{self._last_words()}",
                    hint=f"all of it is in {self.paths.master / 'twistd.log'}",
                )
            time.sleep(0.1)

    def become(self) -> NoReturn:
        """This process is the master from here on, and tells its log on stdout."""
        self.upgrade_database()
        os.chdir(self.paths.master)
        os.execve(_tool("twistd"), self._command(), {**self._environment(), "KMODCI_LOG": "-"})  # noqa: S606 no shell

    def signal(self, number: signal.Signals) -> None:
        """SIGUSR1 lets running builds end and keeps the queue; SIGTERM cancels running builds."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, number)

    def wait(self, seconds: float) -> bool:
        """Whether the master is gone within so many seconds."""
        deadline = time.monotonic() + seconds
        while self.pid() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _command(self) -> list[str]:
        return [str(_tool("twistd")), "--nodaemon", "--pidfile=", f"--python={_tac()}"]

    def _environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
        return {
            **passed,
            "KMODCI_CONFIG": str(self.config_dir.resolve()),
            "KMODCI_SCOPE": self.scope,
            "KMODCI_MODULES": " ".join(self.modules),
            "KMODCI_BASEDIR": str(self.paths.master),
        }

    def upgrade_database(self) -> None:
        """Makes or migrates Buildbot's tables, once per version of Buildbot and database. Raises KmodciError."""
        from buildbot import version

        # noted where the tables are, or what is restored from a backup would be taken for what was there before
        stamp = self.paths.master / f"database-{version}"
        settings = load(self.config_dir)
        store = Store(settings.database_url) if settings.database and settings.database.is_server else None
        if (stamp.exists() if store is None else store.meta(_UPGRADED) == version) and self._has_tables():
            return
        # It executes this file, so it gets one that names the configuration and starts nothing; the words in the
        # comment are what it knows a master's folder by.
        tac = self.paths.master / "buildbot.tac"
        tac.write_text(f"# Application('buildmaster')\nconfigfile = {str(_tac().with_name('master.cfg'))!r}\n")
        done = subprocess.run(
            [str(_tool("buildbot")), "upgrade-master", str(self.paths.master)],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        # its exit status is 0 for some of its failures
        if done.returncode != 0 or "upgrade complete" not in done.stdout:
            raise KmodciError(f"Buildbot's database cannot be made:\n{(done.stdout + done.stderr)[-2000:]}")
        if store is None:
            stamp.touch()
        else:
            store.put_meta(_UPGRADED, version)

    def _has_tables(self) -> bool:
        """Whether the database is the one that was made or migrated: it may have been lost since."""
        url = sa.make_url(buildbot_database(load(self.config_dir)))
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return False
        engine = sa.create_engine(url)
        try:
            return sa.inspect(engine).has_table("alembic_version")
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"Buildbot's database: {error}", hint="does it run? `kmodci doctor` tells more") from None
        finally:
            engine.dispose()

    def _last_words(self) -> str:
        lines: list[str] = []
        for path in (self.paths.logs / "master.out", self.paths.master / "twistd.log"):
            if path.exists():
                lines += path.read_text(errors="replace").splitlines()[-15:]
        return "\n".join(f"  {line}" for line in lines)


def pid_on(state: Path) -> int | None:
    """Of the master that runs on a state folder, which need not be there and stays as it is. None if none does."""
    if not (state / "master" / "lock").exists():
        return None
    return MasterProcess(Paths(state), state, "", ()).pid()


def runs_on(state: Path) -> bool:
    """Whether there is one."""
    return pid_on(state) is not None


def _tac() -> Path:
    return checkout() / "master" / "buildbot.tac"


def _tool(name: str) -> Path:
    """A program of the virtual environment that this runs in."""
    return Path(sys.executable).with_name(name)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/api/v2/masters", timeout=5) as answer:  # noqa: S310 our own address
            return bool(answer.read())
    except (urllib.error.URLError, OSError):
        return False
