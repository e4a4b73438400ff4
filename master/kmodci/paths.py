"""Where the farm keeps things on the master's disk. All of it can be lost but `bucket` and the databases."""

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from .errors import KmodciError

# sun_path in <sys/un.h> holds 108 bytes with the final NUL (unix(7))
_SOCKET_PATH_LIMIT = 107
# Bytes; what runs when a disk is that full still has to end: bundles are repacked, logs and outcomes written.
_RESERVE = 128 << 20


def checkout() -> Path:
    """The folder that holds master/, workers/ and config/."""
    return Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders under the state folder; made on first use, private but for what containers read."""

    state: Path

    def _made(self, *names: str, mode: int = 0o700) -> Path:
        path = self.state.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        return path

    @property
    def master(self) -> Path:
        return self._made("master")

    def farm_id(self) -> str:
        """Names the farm of this state, on its containers; made once."""
        place = self.master / "farm-id"
        if not place.exists():
            place.write_text(secrets.token_hex(8))
        return place.read_text()

    @property
    def first_password(self) -> Path:
        """Of the user that a new farm has; until it is changed."""
        return self.state / "password"

    @property
    def free(self) -> int:
        """Bytes that may still be written to the disk of the state."""
        return shutil.disk_usage(self.state).free

    @property
    def shortage(self) -> str:
        """Why no build is to be started now, or ""."""
        if (free := self.free) >= _RESERVE:
            return ""
        return f"{free >> 20} MiB are free on the disk of {self.state}, and builds wait for {_RESERVE >> 20}"

    @property
    def logs(self) -> Path:
        return self._made("logs")

    @property
    def scratch(self) -> Path:
        return self._made("scratch")

    @property
    def accepted(self) -> Path:
        """What people accept of repositories that are in doubt; made when somebody does."""
        return self.state / "accepted"

    @property
    def workers(self) -> Path:
        return self._made("workers", mode=0o755)

    def cache(self, kind: str) -> Path:
        """kind: headers, layers, pieces, sources, tarballs, trees or listed (what indices remember)."""
        return self._made("cache", kind, mode=0o755)

    @property
    def sockets(self) -> Path:
        """The folder of the master's socket; others of this machine do not get there."""
        return self._made("sockets")

    def socket(self, name: str) -> Path:
        """Raises KmodciError where the path is too long for a unix socket."""
        path = self.sockets / name
        if len(os.fsencode(path)) > _SOCKET_PATH_LIMIT:
            raise KmodciError(
                f"the path of the farm's socket is too long: {path}",
                hint=f"set `state:` in kmodci.yml to a shorter path; {_SOCKET_PATH_LIMIT} bytes is the limit",
            )
        return path

    def door(self, worker: str) -> Path:
        """The folder that is mounted into one worker's container; it holds the master's socket while that is open."""
        return self._made("sockets", worker, mode=0o755)

    def open_door(self, worker: str, name: str) -> None:
        """Before a container starts: a second name of the master's socket."""
        self.shut_door(worker, name)
        (self.door(worker) / name).hardlink_to(self.socket(name))

    def shut_door(self, worker: str, name: str) -> None:
        """As soon as its worker has logged in."""
        (self.door(worker) / name).unlink(missing_ok=True)

    def inputs(self, worker: str) -> Path:
        """What one worker's container sees under /in."""
        return self._made("inputs", worker, mode=0o755)

    def empty_inputs(self, worker: str) -> None:
        """Before a build: nothing of the build before may be there."""
        for path in self.inputs(worker).iterdir():
            path.unlink()

    def drop_inputs(self, worker: str) -> None:
        """After the last build of a worker that will not come again."""
        shutil.rmtree(self.inputs(worker))

    def put_input(self, worker: str, path: Path, name: str) -> None:
        """Puts a cached file into a worker's inputs, without a copy where the disk allows."""
        place = self.inputs(worker) / name
        place.unlink(missing_ok=True)
        try:
            place.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, place)
        place.chmod(0o644)
