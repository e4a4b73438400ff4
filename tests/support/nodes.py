"""A node that runs scripts/kmod-get, and servers on loopback that it asks."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from kmodci.objects import Object

SCRIPT = Path(__file__).parents[2] / "scripts" / "kmod-get"
OS_RELEASES = Path(__file__).parents[1] / "data" / "osrelease"
RELEASE = "6.12.117+deb13-amd64"
SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix")}
# all that the script may find: what POSIX has, coreutils, and what it looks for
_TOOLS = (
    *("awk", "cat", "chmod", "cp", "cut", "grep", "ln", "mkdir", "mktemp", "mv", "rm", "rmdir", "sha256sum", "sleep"),
    *("ls", "sort", "tail", "tr", "uniq", "wc", "timeout"),
)


class Folder:
    """A bucket in a folder, for the real `publish`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, key: str, data: bytes) -> None:
        path = self.path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def get(self, key: str) -> bytes | None:
        path = self.path / key
        return path.read_bytes() if path.exists() else None

    def list(self, prefix: str = "") -> Iterator[Object]:
        raise NotImplementedError

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self.path / key).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Said:
    """How a run ended."""

    status: int
    out: str
    err: str


@dataclass(slots=True)
class Node:
    """A root of its own, an own `uname`, and no programs but those that a node has."""

    folder: Path
    shell: tuple[str, ...] = SHELLS["dash"]
    client: str = "curl"
    tools: tuple[str, ...] = ("modinfo", "depmod", "xz", "zstd")
    release: str = RELEASE
    machine: str = "x86_64"
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "etc").mkdir(parents=True)
        (self.root / "lib" / "modules").mkdir(parents=True)
        self.scratch.mkdir()
        self.bin.mkdir()
        for name in (*_TOOLS, *self.tools, *filter(None, [self.client])):
            found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
            assert found, f"{name} is not installed here: see scripts/test"
            (self.bin / name).symlink_to(found)
        self.program(
            "uname", 'case $1 in -r) printf "%s\\n" "$NODE_RELEASE";; -m) printf "%s\\n" "$NODE_MACHINE";; esac'
        )
        self.runs("debian-trixie")

    def program(self, name: str, body: str) -> None:
        """One that stands for another on PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def runs(self, name: str) -> None:
        """It is of that distribution."""
        shutil.copyfile(OS_RELEASES / name, self.root / "etc" / "os-release")

    def awk(self, name: str) -> None:
        """awk is another one."""
        (self.bin / "awk").unlink()
        if name == "busybox":
            self.program("awk", 'exec /bin/busybox awk "$@"')
        else:
            found = shutil.which(name)
            assert found
            (self.bin / "awk").symlink_to(found)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    @property
    def extra(self) -> Path:
        return self.root / "lib" / "modules" / self.release / "extra"

    @property
    def installed(self) -> list[str]:
        return sorted(path.name for path in self.extra.iterdir()) if self.extra.exists() else []

    def files(self) -> list[str]:
        """What has been left in its temporary folder and below /lib/modules."""
        found = [*(self.root / "lib" / "modules").rglob("*"), *self.scratch.rglob("*")]
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def command(self, *arguments: str) -> list[str]:
        shell, *options = self.shell
        return [str(shutil.which(shell)), *options, str(SCRIPT), "--root", str(self.root), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": str(self.bin),
            "TMPDIR": str(self.scratch),
            "NODE_RELEASE": self.release,
            "NODE_MACHINE": self.machine,
            **self.env,
        }

    def get(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> Said:
        """Runs kmod-get, which leaves nothing in its temporary folder."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            stdin=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert list(self.scratch.iterdir()) == []
        assert not list(self.root.rglob(".kmod-get*"))
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace"))

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """In a process group of its own, as a terminal has it."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that a server got."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Answer = Callable[[BaseHTTPRequestHandler], None]


class Web:
    """A web server on loopback: the files of a folder, but for what is answered otherwise."""

    def __init__(self, folder: Path | None = None, host: str = "127.0.0.1") -> None:
        self.answers: dict[str, Answer] = {}
        """by path"""
        self.default: Answer | None = None
        self.asked: list[Asked] = []
        self.folder = folder
        self.waiting = threading.Event()
        """somebody has been left hanging"""
        self.over = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                web.answer(self)

            def do_HEAD(self) -> None:
                web.answer(self)

            def do_POST(self) -> None:
                web.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        self.asked.append(Asked(request.command, request.path, dict(request.headers.items()), body))
        answer = self.answers.get(unquote(request.path)) or self.default
        if answer:
            answer(request)
            return
        path = self.folder / unquote(request.path).lstrip("/") if self.folder else None
        if path and path.is_file():
            send(request, 200, path.read_bytes())
        else:
            send(request, 404, b"<html>there is no such thing</html>")

    def hang(self, request: BaseHTTPRequestHandler) -> None:
        """Promises an answer, begins it, and says no more."""
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"{")
        request.wfile.flush()
        self.waiting.set()
        self.over.wait(60)
        request.close_connection = True


@contextmanager
def serving(folder: Path | None = None, host: str = "127.0.0.1") -> Iterator[Web]:
    web = Web(folder, host)
    try:
        yield web
    finally:
        web.close()


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


def sending(status: int, body: bytes | str | object, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that is always the same."""
    text = body if isinstance(body, bytes | str) else json.dumps(body)
    data = text if isinstance(text, bytes) else text.encode()
    return lambda request: send(request, status, data, headers)


def following(answers: list[Answer]) -> Answer:
    """One after the other; the last one again and again."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        (answers.pop(0) if len(answers) > 1 else answers[0])(request)

    return answer


@contextmanager
def files_server(endpoint: str, bucket: str, credentials: Path) -> Iterator[str]:
    """The farm's own web server for a bucket's files (`bot.files`), without the rest of the farm. Yields its URL.

    credentials: the file that the embedded server keeps them in.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "support.filesserver", endpoint, bucket, str(credentials)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        port = process.stdout.readline().strip()
        assert port, "it did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
