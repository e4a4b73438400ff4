"""What of a cluster's API a farm asks, answered from memory: for what a real one (`cluster`) does not do on request."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PODS = "/api/v1/namespaces/kmodci/pods"


class FakeKube:
    """Pods are as the test leaves them: `pods[name]["status"]`. Listens on loopback."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str, Any]] = []
        """method, path, and body or query"""
        self.tokens: list[str] = []
        """as they came, one for each request"""
        self.refusal: tuple[int, str] | None = None
        """an HTTP status and a message for whatever is asked"""
        self.lingering: set[str] = set()
        """pods whose node has not said yet that they have ended"""
        self.server = ""

    def answer(self, method: str, path: str, given: Any) -> tuple[int, Any]:
        self.asked.append((method, path, given))
        if self.refusal:
            return self.refusal[0], {"kind": "Status", "message": self.refusal[1], "reason": "Test"}
        name = path.removeprefix(PODS).lstrip("/")
        if path == "/version":
            return 200, {"gitVersion": "v1.36.4"}
        if not path.startswith(PODS):
            return 404, {"message": "the server could not find the requested resource"}
        if method == "POST":
            return self._made(given)
        if not name:
            [wanted] = given["labelSelector"]
            key, _, value = wanted.partition("=")
            return 200, {"items": [each for each in self.pods.values() if each["metadata"]["labels"].get(key) == value]}
        if name not in self.pods:
            return 404, {"message": f'pods "{name}" not found', "reason": "NotFound"}
        if method == "DELETE":
            if name not in self.lingering:
                return 200, self.pods.pop(name)
            self.pods[name]["metadata"]["deletionTimestamp"] = "2026-11-28T20:00:00Z"
        return 200, self.pods[name]

    def _made(self, given: Any) -> tuple[int, Any]:
        name = given["metadata"]["name"]
        if name in self.pods:
            return 409, {"message": f'pods "{name}" already exists', "reason": "AlreadyExists"}
        self.pods[name] = {**given, "status": {"phase": "Pending"}}
        return 201, self.pods[name]


@contextmanager
def fake_kube() -> Iterator[FakeKube]:
    """One that answers while the block lasts."""
    fake = FakeKube()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            given = json.loads(self.rfile.read(length)) if length else parse_qs(parts.query)
            fake.tokens.append(self.headers.get("Authorization", ""))
            status, answer = fake.answer(self.command, parts.path, given)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_DELETE = do_GET  # noqa: N815 http.server's names

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.server = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
