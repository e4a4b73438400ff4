"""A farm's HTTP API, as far as a client can see it: each answer is said beforehand."""

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.webserver import Handler, WebServer

API = "/api/kmodci/v1/"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. body: text or bytes as they are, anything else as JSON."""

    status: int = 200
    body: object = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()

    @property
    def kind(self) -> str:
        return "text/plain" if isinstance(self.body, bytes) else "text/html" if isinstance(self.body, str) else JSON


@dataclass(frozen=True, slots=True)
class Heard:
    """One question."""

    what: str
    token: str
    body: object


def refusal(status: int, message: str, /, **more: object) -> Reply:
    """As a farm refuses."""
    headers = {"Retry-After": str(more.pop("retry_after"))} if "retry_after" in more else {}
    return Reply(status, {"error": {"message": message, **more}}, headers)


class ApiFarm(WebServer):
    """`farm.tell("GET runs", Reply(...), ...)`: the answers to a question, one after the other; the last one stays."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.heard: list[Heard] = []
        self.post = self._answer
        self._replies: dict[str, list[Reply]] = {}

    def tell(self, what: str, *replies: Reply) -> None:
        self._replies[what] = [*replies]

    @contextmanager
    def interrupting(self, what: str, *, times: int = 1) -> Iterator[None]:
        """Presses Ctrl-C once this was asked so often."""
        done = threading.Event()

        def press() -> None:
            while not done.wait(0.01):
                if sum(heard.what == what for heard in self.heard) >= times:
                    os.kill(os.getpid(), signal.SIGINT)
                    return

        thread = threading.Thread(target=press)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def otherwise(self, heard: Heard) -> Reply:
        """What is answered where nothing was said beforehand."""
        return refusal(404, "there is nothing here", hint="openapi.json has all there is")

    def next_fault(self, path: str) -> object:  # type: ignore[override] # the base has no other answers than faults
        fault = super().next_fault(path)
        return fault or self._answer

    def _answer(self, handler: Handler) -> None:
        path = handler.path.removeprefix(API) if handler.path.startswith(API) else handler.path
        what = f"{handler.command} {path}"
        body = json.loads(handler.body) if handler.command == "POST" else None
        heard = Heard(what, handler.headers.get("Authorization", ""), body)
        self.heard.append(heard)
        replies = self._replies.get(what) or [self.otherwise(heard)]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        handler.send_response(reply.status)
        for name, value in {"Content-Type": reply.kind, **reply.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(reply.data)))
        handler.end_headers()
        handler.wfile.write(reply.data)


def build_told(status: str, **more: object) -> dict[str, object]:
    """A build as it is told."""
    return {
        "id": ID,
        "build_id": BUILD,
        "module": "loop",
        "version": "1.0",
        "distro": "debian",
        "series": "sid",
        "arch": "amd64",
        "kernel_release": "7.2.13+deb14-amd64",
        "kernel_version": "7.2.13-1",
        "status": status,
        "reason": "",
        "place": None,
        "status_url": f"https://farm.example.com{API}builds/{ID}",
        "page_url": f"https://farm.example.com/kmodci/builds/{BUILD}",
        "log_url": f"https://farm.example.com{API}builds/{ID}/log",
        "build_url": None,
        "manifest": None,
        "files": [],
        "others": [],
        "finished": None,
        "toolchain": "gcc-14",
        "exact": True,
        **more,
    }


BUILD = "loop/debian-sid-amd64/7.2.13+deb14-amd64"
ID = "loop,1.0,debian-sid-amd64,7.2.13+deb14-amd64"
ASKED = "loop,,debian-sid-amd64,7.2.13%2Bdeb14-amd64"
"""in an address, where no version is said"""
QUOTED = "loop,1.0,debian-sid-amd64,7.2.13%2Bdeb14-amd64"
FILE = {
    "name": "loop.ko",
    "url": "https://farm.example.com/kmodci/files/modules/loop/1.0/debian/sid/amd64/7.2.13%2Bdeb14-amd64/loop.ko",
    "sha256": "5" * 64,
    "size": 4321,
    "module": "loop",
    "vermagic": "7.2.13+deb14-amd64 SMP preempt mod_unload modversions ",
    "depends": [],
}
