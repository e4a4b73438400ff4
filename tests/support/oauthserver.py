"""A provider of OAuth, as much of one as is asked here: it gives out one token, and answers who shows it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN, CODE, CLIENT_SECRET = "hush-hush-token", "code-of-the-day", "very secret of the client"


@dataclass
class Provider:
    """Answers what it is given, by path: JSON, or a function of the query."""

    answers: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, query: dict[str, list[str]]) -> object:
        found = self.answers.get(path)
        make: Callable[[dict[str, list[str]]], object] | None = found if callable(found) else None
        return make(query) if make else found


@contextmanager
def oauth_server() -> Iterator[Provider]:
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            parts = urlsplit(self.path)
            answer = made.answer(parts.path, parse_qs(parts.query))
            right = self.headers["Authorization"] == f"Bearer {TOKEN}" and TOKEN not in self.path
            self._answer(200 if right and answer is not None else 403, answer)

        def do_POST(self) -> None:
            """A code for a token."""
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            right = form["code"] == [CODE] and form["client_secret"] == [CLIENT_SECRET]
            self._answer(200 if right else 401, {"access_token": TOKEN} if right else {"error": "no"})

        def _answer(self, status: int, body: object) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
