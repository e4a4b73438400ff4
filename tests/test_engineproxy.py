"""The engine's proxy on its two sockets: what of a call arrives at an engine, and what does not."""

import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kmodci.enginehttp import join
from kmodci.enginepolicy import Policy
from kmodci.engineproxy import Proxy, listen
from kmodci.errors import KmodciError

FARM = "0123456789abcdef"
ID = "c0ffee" * 10 + "beef"
FOREIGN = "dead" * 16
BODY_LIMIT = 1 << 20
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"  # noqa: E501
ATTACH = f"POST /containers/{ID}/attach?stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n".encode()  # noqa: E501
PUT = f"PUT /v1.41/containers/{ID}/archive?path=/in HTTP/1.1\r\nHost: docker\r\n".encode()


def said(status: str, body: object = None, *headers: str) -> bytes:
    text = b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(text)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + text


class Engine:
    """Takes calls, notes what it reads, and answers with what it was told to. Each connection is an `Exchange`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "engine.sock"
        self.heads: list[str] = []
        self.answers: dict[str, Callable[[socket.socket, bytes], None]] = {}
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.path))
        self._listening.listen()
        threading.Thread(target=self._run, daemon=True).start()
        self.has(f"GET /containers/{ID}/json", said("200 OK", {"Id": ID, "Config": {"Labels": {"kmodci.farm": FARM}}}))
        self.has("GET /containers/named/json", said("200 OK", {"Id": ID, "Config": {"Labels": {"kmodci.farm": FARM}}}))
        self.has(f"GET /containers/{FOREIGN}/json", said("200 OK", {"Id": FOREIGN, "Config": {"Labels": {"x": "y"}}}))
        self.has("GET /containers/gone/json", said("404 Not Found", {"message": "No such container: gone"}))

    def has(self, call: str, answer: bytes) -> None:
        self.answers[call] = lambda connection, _: connection.sendall(answer)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(65536)):
                return
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        self.heads.append(head.decode())
        with connection:
            self.answers[self.heads[-1].split(" HTTP/")[0]](connection, rest)

    @property
    def calls(self) -> list[str]:
        return [head.split(" HTTP/")[0] for head in self.heads]

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path)
    yield made
    made.close()


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def connect(engine: Engine, log: list[str]) -> Iterator[Callable[[], socket.socket]]:
    """A connection to a proxy in front of that engine."""
    policy = Policy(farm=FARM, memory=1 << 30, processes=64)
    proxy = Proxy(policy=policy, engine=str(engine.path), say=log.append)
    threads: list[threading.Thread] = []
    ends: list[socket.socket] = []

    def connect() -> socket.socket:
        mine, its = socket.socketpair()
        mine.settimeout(20)
        threads.append(threading.Thread(target=proxy.serve, args=(its,), daemon=True))
        threads[-1].start()
        ends.append(mine)
        return mine

    yield connect
    for end in ends:
        end.close()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a call has an end"


def read(connection: socket.socket) -> bytes:
    """All there is until the end."""
    data = b""
    while more := connection.recv(65536):
        data += more
    return data


def parsed(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head.lower()
    return int(head.split(b" ")[1]), json.loads(body)


@pytest.fixture
def ask(connect: Callable[[], socket.socket]) -> Callable[[bytes], tuple[int, Any]]:
    """The status and the JSON of the answer to some bytes."""

    def ask(data: bytes) -> tuple[int, Any]:
        connection = connect()
        connection.sendall(data)
        return parsed(read(connection))

    return ask


Ask = Callable[[bytes], tuple[int, Any]]


def get(target: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: docker", *headers, "", ""]).encode()


def test_a_call_is_written_anew(engine: Engine, ask: Ask) -> None:
    engine.has("GET /version", said("200 OK", {"ApiVersion": "1.41"}, "Server: Docker/20", "Api-Version: 1.41"))
    status, answer = ask(get("/version", "User-Agent: x", "X-Registry-Auth: secret", "Accept: */*"))
    assert (status, answer) == (200, {"ApiVersion": "1.41"})
    assert engine.heads == ["GET /version HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Length: 0"]


def test_of_what_an_engine_is_a_farm_learns_what_it_needs(engine: Engine, ask: Ask) -> None:
    info = {"NCPU": 2, "Architecture": "x86_64", "HttpProxy": "http://user:secret@proxy", "Name": "host"}
    engine.has("GET /v1.41/info", said("200 OK", info))
    assert ask(get("/v1.41/info")) == (200, {"NCPU": 2, "Architecture": "x86_64"})


def test_what_is_refused_does_not_reach_the_engine(engine: Engine, ask: Ask, log: list[str]) -> None:
    status, answer = ask(get("/v1.41/images/debian:12/json"))
    assert (status, answer) == (403, {"message": "engine proxy: is nothing that a farm needs"})
    assert log == ["refused: GET /v1.41/images/debian:12/json: is nothing that a farm needs"]
    assert engine.heads == []


def test_other_peoples_containers_are_looked_at_and_left_alone(engine: Engine, ask: Ask) -> None:
    for method, action in (("GET", "/json"), ("POST", "/start"), ("POST", "/kill"), ("DELETE", "")):
        target = f"/v1.41/containers/{FOREIGN}{action}"
        status, answer = ask(f"{method} {target} HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
        assert (status, answer["message"]) == (403, f"engine proxy: container {FOREIGN} is not this farm's")
    assert {*engine.calls} == {f"GET /containers/{FOREIGN}/json"}


def test_a_name_becomes_the_id_that_was_looked_at(engine: Engine, ask: Ask) -> None:
    engine.has(f"POST /v1.41/containers/{ID}/kill", said("200 OK", {}))
    for _ in range(2):
        assert ask(b"POST /v1.41/containers/named/kill HTTP/1.1\r\nHost: docker\r\n\r\n") == (200, {})
    kill = f"POST /v1.41/containers/{ID}/kill"
    assert engine.calls == ["GET /containers/named/json", kill] * 2, "a name may come to be another's"
    assert ask(f"{kill} HTTP/1.1\r\nHost: docker\r\n\r\n".encode()) == (200, {})
    assert engine.calls[4:] == [kill], "an id never does"


def test_what_is_not_there_is_told_as_the_engine_tells_it(ask: Ask) -> None:
    assert ask(get("/v1.41/containers/gone/json")) == (404, {"message": "No such container: gone"})


@pytest.mark.parametrize(
    "found",
    [
        {"Labels": None, "Driver": "local", "Options": None},
        {"Labels": {"kmodci.farm": FARM}, "Driver": "nfs", "Options": None},
        {"Labels": {"kmodci.farm": FARM}, "Driver": "local", "Options": {"o": "bind", "device": "/"}},
    ],
)
def test_a_volume_that_leads_elsewhere_is_not_a_farms(engine: Engine, ask: Ask, found: dict[str, object]) -> None:
    engine.has("GET /volumes/kmodci-x", said("200 OK", found))
    assert ask(b"DELETE /v1.41/volumes/kmodci-x HTTP/1.1\r\nHost: docker\r\n\r\n")[0] == 403
    assert engine.calls == ["GET /volumes/kmodci-x"]


SMUGGLED = b"POST /v1.41/containers/create HTTP/1.1\r\nHost: docker\r\n\r\n"
MALFORMED = {
    "both a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n",
    "the same length twice": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "a list of lengths": b"Content-Length: 5, 5\r\n",
    "a length with a sign": b"Content-Length: +5\r\n",
    "a length below nothing": b"Content-Length: -5\r\n",
    "a length in hexadecimal": b"Content-Length: 0x5\r\n",
    "a length without a digit": b"Content-Length:\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "other chunks": b"Transfer-Encoding: gzip, chunked\r\n",
    "no chunks": b"Transfer-Encoding: identity\r\n",
    "odd chunks": b"Transfer-Encoding: xchunked\r\n",
    "a folded line": b"X: y\r\n Content-Length: 5\r\n",
    "a folded line with a tab": b"Transfer-Encoding:\r\n\tchunked\r\n",
    "a space before the colon": b"Content-Length : 5\r\n",
    "a line without a colon": b"Content-Length 5\r\n",
    "a bare line feed": b"X: y\nContent-Length: 5\r\n",
    "a bare carriage return": b"X: y\rContent-Length: 5\r\n",
    "a zero byte": b"X: y\0\r\n",
    "two hosts": b"Host: other\r\n",
    "an expectation": b"Expect: 100-continue\r\n",
    "an upgrade": b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    "an upgrade to a stream where there is none": b"Connection: Upgrade\r\nUpgrade: tcp\r\n",
    "an upgrade that is not asked for": b"Upgrade: tcp\r\n",
    "too much of it": b"X: " + b"y" * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("headers", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_two_parsers_read_differently_is_refused(engine: Engine, ask: Ask, headers: bytes) -> None:
    status, answer = ask(b"GET /version HTTP/1.1\r\nHost: docker\r\n" + headers + b"\r\n" + SMUGGLED)
    assert status == 400
    assert answer["message"].startswith("engine proxy: ")
    assert engine.heads == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n",
        b"GET /version HTTP/1.1\r\n\r\n",
        b"GET /version\r\nHost: docker\r\n\r\n",
        b"GET  /version HTTP/1.1\r\nHost: docker\r\n\r\n",
        b"GET\t/version HTTP/1.1\r\nHost: docker\r\n\r\n",
        b"GET /version HTTP/1.1 \r\nHost: docker\r\n\r\n",
        b"\r\nGET /version HTTP/1.1\r\nHost: docker\r\n\r\n",
        b"GET /version HTTP/1.1\n\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_only_http_1_1_is_spoken(engine: Engine, ask: Ask, head: bytes) -> None:
    assert ask(head)[0] == 400
    assert engine.heads == []


@pytest.mark.parametrize("target", ["http://docker/version", "//version", "/v1.41/../version", "*", "/%76ersion"])
def test_only_a_plain_path_is_read(engine: Engine, ask: Ask, target: str) -> None:
    assert ask(get(target))[0] == 403
    assert engine.heads == []


def test_a_connection_has_one_call(engine: Engine, ask: Ask) -> None:
    engine.has("GET /version", said("200 OK", {}))
    assert ask(get("/version") + get("/version") + SMUGGLED) == (200, {})
    assert engine.calls == ["GET /version"]


def test_where_a_body_has_no_place_there_is_none(engine: Engine, ask: Ask) -> None:
    start = f"POST /v1.41/containers/{ID}/start HTTP/1.1\r\nHost: docker\r\nContent-Length: 20\r\n\r\n".encode()
    assert ask(start + b'{"Privileged": true}')[0] == 400
    assert engine.heads == []


def test_a_body_of_json_has_an_end(engine: Engine, ask: Ask) -> None:
    head = b"POST /v1.41/containers/create HTTP/1.1\r\nHost: docker\r\n"
    much = b" " * (BODY_LIMIT + 1)
    assert ask(head + f"Content-Length: {len(much)}\r\n\r\n".encode() + much)[0] == 400
    chunked = f"{len(much):x}\r\n".encode() + much + b"\r\n0\r\n\r\n"
    assert ask(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked)[0] == 400
    assert engine.heads == []


def test_a_stream_goes_through_as_it_comes(engine: Engine, connect: Callable[[], socket.socket]) -> None:
    arrived, received = threading.Event(), bytearray()

    def take(connection: socket.socket, rest: bytes) -> None:
        received.extend(rest)
        while b"0\r\n\r\n" not in received[-5:]:
            if b"first" in received:
                arrived.set()
            received.extend(connection.recv(65536))
        connection.sendall(said("200 OK", {}))

    engine.answers[f"PUT /v1.41/containers/{ID}/archive?path=%2Fin"] = take
    connection = connect()
    # with an extension, that is not passed on
    connection.sendall(PUT + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nfirst\r\n")
    assert arrived.wait(20), "before the rest was sent"
    connection.sendall(b"6\r\nsecond\r\n0\r\n\r\n")
    assert parsed(read(connection)) == (200, {})
    assert bytes(received) == b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"
    assert "Content-Type: application/x-tar" in engine.heads[-1]


@pytest.mark.parametrize("end", [b"0\r\nX: y\r\n\r\n", b"zz\r\n", b"5\r\nfirstX", b"-1\r\n"])
def test_a_stream_that_goes_wrong_never_ends_at_the_engine(engine: Engine, ask: Ask, end: bytes) -> None:
    received, over = bytearray(), threading.Event()

    def take(connection: socket.socket, rest: bytes) -> None:
        received.extend(rest)
        while more := connection.recv(65536):
            received.extend(more)
        over.set()

    engine.answers[f"PUT /v1.41/containers/{ID}/archive?path=%2Fin"] = take
    assert ask(PUT + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n" + end)[0] == 400
    assert over.wait(20)
    assert not received.endswith(b"0\r\n\r\n")


def test_an_answer_that_comes_early_is_heard(engine: Engine, connect: Callable[[], socket.socket]) -> None:
    engine.has(f"PUT /v1.41/containers/{ID}/archive?path=%2Fin", said("404 Not Found", {"message": "no such folder"}))
    connection = connect()
    length = 64 << 20
    connection.sendall(PUT + f"Content-Length: {length}\r\n\r\n".encode())
    connection.sendall(bytes(length))
    assert parsed(read(connection)) == (404, {"message": "no such folder"})


def test_a_stream_in_both_directions(engine: Engine, connect: Callable[[], socket.socket]) -> None:
    got = bytearray()

    def attached(connection: socket.socket, rest: bytes) -> None:
        connection.sendall(UPGRADED + b"early")
        got.extend(rest)
        while more := connection.recv(65536):
            got.extend(more)
        # the other direction goes on
        connection.sendall(b"late" * 1_000_000)

    engine.answers[f"POST /containers/{ID}/attach?stream=1&stdin=1&stdout=1&stderr=1"] = attached
    connection = connect()
    connection.sendall(ATTACH + b"before the answer")
    data = bytearray()
    while b"early" not in data:
        data.extend(connection.recv(65536))
    assert data.startswith(b"HTTP/1.1 101 ")
    connection.sendall(b"x" * 1_000_000)
    connection.shutdown(socket.SHUT_WR)
    assert read(connection) == b"late" * 1_000_000
    assert bytes(got) == b"before the answer" + b"x" * 1_000_000


def test_a_stream_that_an_engine_refuses(engine: Engine, ask: Ask) -> None:
    call = f"POST /containers/{ID}/attach?stream=1&stdin=1&stdout=1&stderr=1"
    engine.has(call, said("409 Conflict", {"message": "it is paused"}))
    assert ask(ATTACH) == (409, {"message": "it is paused"})


def test_who_leaves_is_not_waited_for(engine: Engine, connect: Callable[[], socket.socket]) -> None:
    asked, ended = threading.Event(), threading.Event()

    def wait(connection: socket.socket, _: bytes) -> None:
        asked.set()
        if connection.recv(1) == b"":
            ended.set()

    engine.answers[f"POST /v1.41/containers/{ID}/wait"] = wait
    connection = connect()
    connection.sendall(f"POST /v1.41/containers/{ID}/wait HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
    assert asked.wait(20)
    connection.close()
    assert ended.wait(20)


def test_an_engine_that_is_away(engine: Engine, ask: Ask, log: list[str]) -> None:
    engine.path.unlink()
    status, answer = ask(get("/version"))
    assert (status, answer) == (502, {"message": "engine proxy: the engine does not answer: No such file or directory"})
    assert log == ["failed: GET /version: the engine does not answer: No such file or directory"]


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n\r\n", said("200 OK", {})[:-1], UPGRADED])
def test_an_engine_that_answers_wrongly(engine: Engine, connect: Callable[[], socket.socket], answer: bytes) -> None:
    engine.has("GET /version", answer)
    connection = connect()
    connection.sendall(get("/version"))
    heard = read(connection)
    # what has begun as an answer is broken off
    assert heard.startswith(b"HTTP/1.1 502 ") or (heard.startswith(b"HTTP/1.1 200 ") and heard.endswith(b"{"))


def test_each_end_is_read_no_faster_than_the_other_takes_it() -> None:
    (farm, caller), (call, engine) = socket.socketpair(), socket.socketpair()
    joined = threading.Thread(target=join, args=(caller, call), daemon=True)
    joined.start()
    engine.setblocking(False)
    sent = 0
    with pytest.raises(BlockingIOError):
        while sent < 1 << 30:
            sent += engine.send(bytes(1 << 16))
    assert sent < 1 << 30
    engine.setblocking(True)
    engine.shutdown(socket.SHUT_WR)
    farm.settimeout(20)
    assert len(read(farm)) == sent
    for end in (farm, engine):
        end.close()
    joined.join(20)
    assert not joined.is_alive()
    for end in (caller, call):
        end.close()


def test_whoever_is_gone_ends_a_stream() -> None:
    (farm, caller), (call, engine) = socket.socketpair(), socket.socketpair()
    joined = threading.Thread(target=join, args=(caller, call), daemon=True)
    joined.start()
    farm.close()
    joined.join(20)
    assert not joined.is_alive()
    for end in (caller, call, engine):
        end.close()


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_the_socket_is_for_whom_it_is_meant(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "docker.sock"
    with listen(path, mode=mode, group=os.getgid()):
        assert stat.S_IMODE(path.stat().st_mode) == mode
        with pytest.raises(KmodciError, match="somebody listens at"):
            listen(path, mode=mode)
    # nobody listens there any more
    with listen(path, mode=mode), socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(path))
    assert [each.name for each in tmp_path.iterdir()] == ["docker.sock"]


def test_what_is_no_socket_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    path.write_text("precious")
    with pytest.raises(KmodciError, match="is there, and is no socket"):
        listen(path, mode=0o600)
    assert path.read_text() == "precious"
    with pytest.raises(KmodciError, match="cannot listen at"):
        listen(tmp_path / "nowhere" / "docker.sock", mode=0o600)
