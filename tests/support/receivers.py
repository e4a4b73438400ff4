"""Those who are told: an HTTP server and an SMTP server on this machine, that keep what they get."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from support.s3 import free_port


@dataclass(frozen=True, slots=True)
class Posted:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Hook:
    """A server that takes whatever is posted. port: 0 is any that is free."""

    port: int = 0
    status: int = 200
    """what it answers"""
    said: str = "ok"
    location: str = ""
    got: list[Posted] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def posted(self, path: str = "") -> list[Any]:
        """The bodies of what was posted, to one path or to any."""
        return [each.body for each in self.got if each.method == "POST" and path in ("", each.path)]

    def note(self, posted: Posted) -> None:
        self.got.append(posted)


@contextmanager
def hook(port: int = 0, **more: Any) -> Iterator[Hook]:
    """Runs for the length of the block."""
    made = Hook(**more)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.note(Posted(self.command, self.path, dict(self.headers), json.loads(body) if body else None))
            said = made.said.replace("PATH", self.path).encode()
            self.send_response(made.status)
            if made.location:
                self.send_header("Location", made.location)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = _serve  # noqa: N815 as http.server looks them up

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        made.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


class Mailbox:
    """What an SMTP server has taken."""

    def __init__(self) -> None:
        self.got: list[tuple[list[str], str]] = []
        self.refuses: set[str] = set()
        self.port = free_port()

    # as aiosmtpd calls them

    async def handle_RCPT(  # noqa: N802
        self, server: object, session: object, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuses:
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.got.append(([*map(str, envelope.rcpt_tos)], envelope.content.decode()))
        return "250 taken"


@contextmanager
def mailbox(**more: Any) -> Iterator[Mailbox]:
    """Runs for the length of the block. more: of aiosmtpd's Controller."""
    made = Mailbox()
    controller = Controller(made, hostname="127.0.0.1", port=made.port, **more)
    controller.start()
    try:
        yield made
    finally:
        controller.stop()


def knows(user: str, password: str) -> Any:
    """An authenticator of aiosmtpd."""

    def check(server: object, session: object, envelope: object, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (user.encode(), password.encode()), handled=False)

    return check
