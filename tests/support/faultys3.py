"""A real S3 server behind a proxy that misbehaves on request, and remembers every write that was accepted."""

import hashlib
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kmodci.bucket import Bucket
from kmodci.embedded import EmbeddedS3, credentials
from support.s3 import free_port

# What a fault makes of a request: "" passes it on; "cut" breaks the connection within the body; "hang" takes it and
# never answers; a number is answered as the status.
Fault = Callable[[str, str], str]
_HOP = frozenset({"connection", "expect", "keep-alive", "transfer-encoding"})


def soundly(method: str, key: str) -> str:
    """No fault."""
    return ""


def at_random(seed: int, share: float, kinds: Sequence[str]) -> Fault:
    """A share of all requests meets one of these faults."""
    dice = random.Random(seed)
    return lambda method, key: dice.choice(kinds) if dice.random() < share else ""


def hanging(method: str, key: str) -> str:
    return "hang"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Proxy"

    def handle_one_request(self) -> None:
        with suppress(ConnectionError, TimeoutError):
            super().handle_one_request()
            return
        self.close_connection = True

    def _serve(self) -> None:
        owner = self.server.owner
        key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]
        fault = owner.fault(self.command, key)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault:
            owner.met[fault] += 1
        if fault == "hang":
            owner.recovered.wait()
            self.close_connection = True
        elif fault == "cut":
            self._upstream(body, only=len(body) // 2)
            self.close_connection = True
        elif fault:
            self._answer(int(fault), [], b"")
        else:
            self._pass_on(key, body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815 as http.server looks them up

    def _pass_on(self, key: str, body: bytes) -> None:
        try:
            answer, content = self._upstream(body)
        except (OSError, HTTPException):
            self.close_connection = True
            return
        if self.command == "PUT" and answer.status == 200:
            self.server.owner.note(key, body)
        self._answer(answer.status, answer.getheaders(), content)

    def _upstream(self, body: bytes, *, only: int | None = None) -> tuple[HTTPResponse, bytes]:
        """The real server's answer. only: sends so many bytes of the body, and goes away."""
        connection = HTTPConnection("127.0.0.1", self.server.owner.upstream, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP:
                    connection.putheader(name, value)
            connection.endheaders(body if only is None else body[:only])
            if only is not None:
                raise HTTPException("cut")
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: Sequence[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP | {"content-length"}:
                self.send_header(name, value)
        length = dict(headers).get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    owner: "FaultyS3"

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is what this is for."""


class FaultyS3:
    """`with FaultyS3(folder) as s3:`; `s3.settings` for a farm's `bucket:`, `s3.bucket` past all faults."""

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedS3(folder, port=free_port())
        self.upstream = int(self.server.endpoint.rpartition(":")[2])
        self.port = free_port()
        self.fault: Fault = soundly
        self.recovered = threading.Event()
        self.met: defaultdict[str, int] = defaultdict(int)
        self.writes: defaultdict[str, list[str]] = defaultdict(list)
        """key -> the SHA256 of each content that was accepted for it"""
        keys = credentials(folder / "s3-credentials.json")
        self._credentials = folder / "credentials"
        self._credentials.touch(mode=0o600)
        self._credentials.write_text(
            f"[default]\naws_access_key_id = {keys.access_key}\naws_secret_access_key = {keys.secret}\n"
        )

    @property
    def settings(self) -> dict[str, object]:
        endpoint = f"http://127.0.0.1:{self.port}"
        return {"endpoint": endpoint, "bucket": "kmodci", "credentials_file": str(self._credentials)}

    @property
    def bucket(self) -> Bucket:
        return self.server.bucket()

    def note(self, key: str, content: bytes) -> None:
        self.writes[key].append(hashlib.sha256(content).hexdigest())

    def __enter__(self) -> "FaultyS3":
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.recovered.set()
        self._stop()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Connections are refused in this block."""
        self._stop()
        try:
            yield
        finally:
            self._start()

    @contextmanager
    def misbehaving(self, fault: Fault) -> Iterator[None]:
        self.recovered.clear()
        self.fault = fault
        try:
            yield
        finally:
            self.fault = soundly
            self.recovered.set()

    def _start(self) -> None:
        self.server.start()
        self._proxy = _Proxy(("127.0.0.1", self.port), _Handler)
        self._proxy.owner = self
        self._thread = threading.Thread(target=self._proxy.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        self._proxy.shutdown()
        self._thread.join()
        self._proxy.server_close()
        self.server.stop()
