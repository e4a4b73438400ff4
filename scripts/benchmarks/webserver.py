"""A web server on loopback: serves a folder, remembers what was asked, and misbehaves on request. Tests use it too."""

import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self


class Handler(SimpleHTTPRequestHandler):
    """What a fault is given: the request, to be answered as the fault likes."""

    protocol_version = "HTTP/1.1"
    # an answer is written in pieces, each of which would wait 40 ms for the other side's acknowledgement
    disable_nagle_algorithm = True
    server: "WebServer"
    body: bytes
    """what was posted"""

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        fault = self.server.next_fault(self.path)
        if fault:
            fault(self)
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self.server.requests.append(self.path)
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.server.next_fault(self.path) or self.server.post
        if fault:
            fault(self)
        else:
            self.send_error(HTTPStatus.NOT_IMPLEMENTED)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class WebServer(ThreadingHTTPServer):
    """`with WebServer(folder) as server:`; `server.requests` are the paths asked for, in order."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.folder = folder
        self.requests: list[str] = []
        self.ended = threading.Event()
        self.post: Callable[[Handler], None] | None = None
        """answers what is posted"""
        self._faults: dict[str, list[Callable[[Handler], None]]] = {}
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def misbehave(self, path: str, *faults: Callable[[Handler], None]) -> None:
        """Answers the next requests for a path with these, one after the other, then as usual."""
        self._faults[path] = list(faults)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """A client that leaves early is no error of a test; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def next_fault(self, path: str) -> Callable[[Handler], None] | None:
        faults = self._faults.get(path)
        return faults.pop(0) if faults else None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


def status(code: int, **headers: str) -> Callable[[Handler], None]:
    """Answers with a status and nothing else."""

    def answer(handler: Handler) -> None:
        handler.send_response(code, HTTPStatus(code).phrase)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def cut(content: bytes, *, announced: int) -> Callable[[Handler], None]:
    """Announces more than it sends, then closes the connection."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(announced))
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = True

    return answer


def redirect(location: str) -> Callable[[Handler], None]:
    return status(302, Location=location)


def endless(handler: Handler) -> None:
    """Sends without an end and without saying how much."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        return


def page(text: str) -> Callable[[Handler], None]:
    """Answers with a page of HTML, as proxies and mirrors do that have something else to say."""
    content = text.encode()

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def silent(handler: Handler) -> None:
    """Announces a megabyte, and sends nothing of it."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.server.ended.wait()


def dripping(handler: Handler) -> None:
    """Announces a megabyte, and sends a byte of it now and then."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    _drip(handler)


def dripping_head(handler: Handler) -> None:
    """Never comes to the end of the answer's head."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(handler)


def _drip(handler: Handler) -> None:
    handler.close_connection = True
    try:
        while not handler.server.ended.wait(0.01):
            handler.wfile.write(b"x")
    except OSError:
        return


class Served:
    """What is served by a `server` of its own, for as long as it is entered."""

    server: WebServer

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.__exit__(kind, value, trace)
