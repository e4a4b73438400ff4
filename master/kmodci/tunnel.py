"""An engine on another machine by ssh: its socket, forwarded to one on this machine by the ssh client.

One client per engine and process, begun when it is first needed and again when it has ended. It asks no questions:
the key has to be usable without a passphrase (or in an agent), and the host known (`known_hosts`).
"""

import atexit
import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

from .errors import EngineError

_FAR_SOCKET = "/var/run/docker.sock"
# seconds until the far end is there
_PATIENCE = 20.0
_LOOK_EVERY = 0.05
_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_open: dict[str, "_Tunnel"] = {}


def tunnel(url: str) -> str:
    """The address on this machine (`unix://...`) at which the engine of an `ssh://` URL answers. Raises EngineError.

    The URL's path is that of the far socket, if it is not Docker's usual one.
    """
    with _locks[url]:
        known = _open.get(url)
        if known is None or not known.is_well:
            if known is not None:
                known.close()
            _open[url] = known = _Tunnel(url)
            known.open()
    return f"unix://{known.socket}"


class _Tunnel:
    def __init__(self, url: str) -> None:
        self._url = url
        # short, because a socket's path is
        self._folder = Path(tempfile.mkdtemp(prefix="kmodci-ssh-"))
        self.socket = self._folder / "s"
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    @property
    def is_well(self) -> bool:
        return self._process is not None and self._process.poll() is None and self.socket.exists()

    def open(self) -> None:
        words = self._folder / "words"
        with words.open("wb") as file:
            # a session of its own: Ctrl-C is for who started this, which still has to end its containers
            self._process = subprocess.Popen(
                ssh_command(self._url, self.socket),
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE
        while not self.socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = " ".join(words.read_text(errors="replace").split())[-300:]
                self.close()
                raise EngineError(
                    f"Docker engine {self._url}: ssh: {said or 'no connection in time'}",
                    hint="`ssh -o BatchMode=yes` to there must work for the farm's user without a question",
                )
            time.sleep(_LOOK_EVERY)

    def close(self) -> None:
        atexit.unregister(self.close)
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
        for path in (self.socket, self._folder / "words"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def ssh_command(url: str, socket: Path) -> list[str]:
    """The argument list that forwards the far socket to this one, and ends when it cannot."""
    parts = urlsplit(url)
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "ExitOnForwardFailure": "yes",
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "3",
        "StreamLocalBindMask": "0177",
        "ControlPath": "none",
    }
    words = ["ssh", "-nNT", *(f"-o{name}={value}" for name, value in options.items())]
    words += ["-L", f"{os.fspath(socket)}:{parts.path or _FAR_SOCKET}"]
    words += ["-l", parts.username] if parts.username else []
    words += ["-p", str(parts.port)] if parts.port else []
    return [*words, "--", parts.hostname or ""]
