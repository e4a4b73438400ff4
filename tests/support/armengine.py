"""An engine that says it is an arm64 machine's; what it starts of arm64 is emulated (qemu-user, by binfmt_misc).

The machine's own engine, behind a socket of the test's: what it says of its architecture is changed on the way, and all
else is passed on as it is. So a farm does with it what it does with an arm64 host, and containers, images, worker and
compiler are real.
"""

import contextlib
import http.client
import json
import re
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import docker
from support.farm import ENGINE

_HEAD = b"\r\n\r\n"
_INFO = re.compile(rb"GET (/v[0-9.]+)?/info HTTP")


class ArmEngine:
    """`with ArmEngine(folder) as engine:`; `engine.url` for `docker_host:`. It is away once it is closed."""

    def __init__(self, folder: Path) -> None:
        """folder: with a short name, for a socket."""
        self._path = folder / "arm.sock"
        self.url = f"unix://{self._path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        self._listener.bind(str(self._path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nobody gets in any more, and who is in gets no further."""
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        """One request: the engine is asked to end the connection after it."""
        with client, socket.socket(socket.AF_UNIX) as engine, contextlib.suppress(OSError):
            self._open |= {client, engine}
            try:
                head = b""
                while _HEAD not in head:
                    if not (data := client.recv(65536)):
                        return
                    head += data
                if _INFO.match(head):
                    client.sendall(_info())
                    return
                engine.connect(urlsplit(ENGINE).path)
                engine.sendall(_last(head))
                forth = threading.Thread(target=_pass_on, args=(client, engine), daemon=True)
                forth.start()
                _pass_on(engine, client)
            finally:
                self._open -= {client, engine}


def _last(head: bytes) -> bytes:
    """The request, as the last of its connection, unless that becomes another thing than HTTP (`attach`)."""
    if b"\r\nupgrade:" in head.lower():
        return head
    line, _, rest = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head, count=1).partition(b"\r\n")
    return line + b"\r\nConnection: close\r\n" + rest


def _info() -> bytes:
    client = docker.APIClient(base_url=ENGINE)
    try:
        body = json.dumps({**client.info(), "Architecture": "aarch64"}).encode()
    finally:
        client.close()
    status = f"HTTP/1.1 200 {http.client.responses[200]}\r\nContent-Type: application/json\r\n"
    return f"{status}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
