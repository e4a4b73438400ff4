"""HTTP/1.1 on both sides of the engine proxy, one call on each connection, by h11.

Towards the farm it is stricter than h11, which reads what it can: what two parsers could take for different calls is
refused. Towards the engine nothing is passed on: a call is written anew, of what was read.
"""

import contextlib
import http.client
import json
import re
import select
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import h11

from .errors import Denied, EngineError

BLOCK = 128 << 10
_HEAD_LIMIT = 16 << 10
# seconds for a head, and without a byte of a body
_HEAD_TIME = 30
_PATIENCE = 120
# seconds without a byte of what is still on its way when all has been said
_LINGER = 5
# a line that ends otherwise than lines do, or goes on in the next one
_ODD = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\r\n[ \t]|\0|\A\r")
_PASSED_BACK = frozenset({b"content-type", b"content-length", b"api-version", b"x-docker-container-path-stat"})


class Malformed(Denied):
    """No request, or one that could be taken for another."""


class Left(Exception):
    """Who asked is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The head of one."""

    method: str
    target: str
    upgrades: bool
    """whether it asks for the connection itself"""


class Caller:
    """The end at which a farm asks. Methods raise Malformed, and OSError or Left when it is gone."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_LIMIT)

    def request(self) -> Request:
        """What it asks for."""
        self.socket.settimeout(_HEAD_TIME)
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.socket.recv(BLOCK)
            if not more:
                raise Left
            head += more
            before = head.partition(b"\r\n\r\n")[0]
            if _ODD.search(before):
                raise Malformed("a line of the request's head ends otherwise than with CR LF, or goes on in the next")
            if len(before) > _HEAD_LIMIT:
                raise Malformed("the request's head is too long")
        _check_headers(head.partition(b"\r\n\r\n")[0])
        self.socket.settimeout(_PATIENCE)
        try:
            self._http.receive_data(head)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise Malformed(f"no request: {error}") from error
        if not isinstance(event, h11.Request) or event.http_version != b"1.1":
            raise Malformed("no request of HTTP/1.1")
        headers = dict(event.headers)
        return Request(
            method=event.method.decode(),
            target=event.target.decode("latin-1"),
            upgrades=b"upgrade" in headers,
        )

    def body(self) -> Iterator[bytes]:
        """What comes with it, as it comes."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise Malformed(f"a body that is none: {error}") from error
            if event is h11.NEED_DATA:
                self._http.receive_data(self.socket.recv(BLOCK))
            elif isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                if [*event.headers]:
                    raise Malformed("a body with headers after it")
                return
            else:
                raise Left

    def whole_body(self, limit: int) -> bytes:
        """The same at once. limit: bytes."""
        body = bytearray()
        for part in self.body():
            body += part
            if len(body) > limit:
                raise Malformed(f"a body of more than {limit} bytes")
        return bytes(body)

    def answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: Iterable[bytes]) -> None:
        """Says what there is to say; nothing more is read on this connection."""
        said = [*headers, (b"Connection", b"close")]
        head = h11.Response(status_code=status, headers=said, reason=http.client.responses.get(status, "").encode())
        self._send(head)
        for part in body:
            self._send(h11.Data(data=part))
        self._send(h11.EndOfMessage())
        self._linger()

    def refuse(self, status: HTTPStatus, why: str) -> None:
        """In the engine's own form."""
        # unless an answer has begun: then its end is missing, which is seen
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.answer_json(status, json.dumps({"message": f"engine proxy: {why}"}).encode())

    def answer_json(self, status: int, body: bytes) -> None:
        """The same for what is there as a whole."""
        length = str(len(body)).encode()
        self.answer(status, [(b"Content-Type", b"application/json"), (b"Content-Length", length)], [body])

    def switch(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Hands the connection over. Returns what was read of it already."""
        more = [(b"Connection", b"Upgrade"), (b"Upgrade", b"tcp")]
        self._send(h11.InformationalResponse(status_code=HTTPStatus.SWITCHING_PROTOCOLS, headers=[*headers, *more]))
        return self._http.trailing_data[0]

    def _send(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            self.socket.sendall(data)

    def _linger(self) -> None:
        """Or an answer is lost that comes while a body is still being sent (unix(7): ECONNRESET)."""
        self.socket.shutdown(socket.SHUT_WR)
        self.socket.settimeout(_LINGER)
        while self.socket.recv(BLOCK):
            pass


class EngineCall:
    """One call of an engine. Methods raise EngineError when it does not answer as it should."""

    def __init__(self, path: str) -> None:
        """path: of its socket."""
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(_PATIENCE)
        try:
            self.socket.connect(path)
        except OSError as error:
            self.socket.close()
            raise EngineError(f"the engine does not answer: {error.strerror}") from error

    def close(self) -> None:
        self.socket.close()

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: Iterable[bytes], *, size: int | None
    ) -> None:
        """Sends a request. size: of the body, None if that is not known."""
        length = ("Transfer-Encoding", "chunked") if size is None else ("Content-Length", str(size))
        said = [("Host", "docker"), *headers.items(), length]
        try:
            self._send(h11.Request(method=method, target=target, headers=said))
        except OSError as error:
            raise EngineError(f"the engine does not take a call: {error}") from error
        for part in body:
            # it may have answered already, and take no more; what it said is to be read
            with contextlib.suppress(OSError):
                self._send(h11.Data(data=part))
                continue
            return
        with contextlib.suppress(OSError):
            self._send(h11.EndOfMessage())

    def answer(self, caller: socket.socket | None = None) -> h11.Response | h11.InformationalResponse:
        """The head of its answer. caller: who waits for it, and may be gone meanwhile: raises Left then."""
        while True:
            event = self._next(caller)
            if isinstance(event, h11.Response):
                return event
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                    return event
            else:
                raise EngineError("the engine ends a call without an answer")

    def body(self, caller: socket.socket | None = None) -> Iterator[bytes]:
        """The rest of its answer, as it comes."""
        while not isinstance(event := self._next(caller), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise EngineError("the engine ends an answer before its end")
            yield bytes(event.data)

    @property
    def read_already(self) -> bytes:
        """What came after an answer that hands the connection over."""
        return self._http.trailing_data[0]

    def _next(self, caller: socket.socket | None) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                if caller is not None:
                    _await(self.socket, caller)
                self._http.receive_data(self.socket.recv(BLOCK))
        except (OSError, h11.RemoteProtocolError) as error:
            raise EngineError(f"the engine does not answer as it should: {error}") from error
        return event

    def _send(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            self.socket.sendall(data)


def passed_back(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What a farm gets to see of an answer's headers."""
    return [(name, value) for name, value in headers if name in _PASSED_BACK]


def _check_headers(head: bytes) -> None:
    """What h11 takes in more than one form, in one only. Raises Malformed."""
    lines = head.split(b"\r\n")
    names = [line.partition(b":")[0].lower() for line in lines[1:]]
    if len({*names}) != len(names):
        raise Malformed("a header is there twice")
    headers = dict(zip(names, (line.partition(b":")[2].strip(b" \t").lower() for line in lines[1:]), strict=True))
    if {b"content-length", b"transfer-encoding"} <= headers.keys():
        raise Malformed("a body with a length and in chunks")
    if not re.fullmatch(rb"[0-9]{1,18}", headers.get(b"content-length", b"0")):
        raise Malformed("a Content-Length that is no number")
    if headers.get(b"transfer-encoding", b"chunked") != b"chunked":
        raise Malformed("a Transfer-Encoding that is not chunked")
    if b"expect" in headers:
        raise Malformed("Expect is not understood")
    connection = {word.strip() for word in headers.get(b"connection", b"").split(b",")}
    if (b"upgrade" in connection) != (b"upgrade" in headers) or headers.get(b"upgrade", b"tcp") != b"tcp":
        raise Malformed("an upgrade to something else than a stream")


def _await(engine: socket.socket, caller: socket.socket) -> None:
    """Returns when the engine has something to say. Raises Left when who asked is gone."""
    waiting = select.poll()
    waiting.register(engine, select.POLLIN)
    waiting.register(caller, 0)
    while True:
        events = dict(waiting.poll())
        if engine.fileno() in events:
            return
        if events:
            raise Left


def join(one: socket.socket, other: socket.socket) -> None:
    """Passes on what comes at either, no faster than it is taken; returns when both have ended, or one is gone."""
    ends = {one.fileno(): one, other.fileno(): other}
    peers = {one.fileno(): other, other.fileno(): one}
    held: dict[int, bytes] = {}  # by where it came from
    reading = set(ends)
    for end in ends.values():
        end.setblocking(False)
    while reading or held:
        waiting = select.poll()
        for number in ends:
            is_read = number in reading and number not in held
            is_written = peers[number].fileno() in held
            # or that it is gone would be told again and again, while what it said cannot be passed on yet
            if is_written or number not in held:
                waiting.register(number, (select.POLLIN if is_read else 0) | (select.POLLOUT if is_written else 0))
        for number, event in waiting.poll():
            peer = peers[number]
            if event & select.POLLOUT and (data := held.pop(peer.fileno(), b"")):
                sent = ends[number].send(data)
                if sent < len(data):
                    held[peer.fileno()] = data[sent:]
            if event & select.POLLIN and number in reading and number not in held:
                if data := ends[number].recv(BLOCK):
                    held[number] = data
                else:
                    reading.discard(number)
                    peer.shutdown(socket.SHUT_WR)
            # gone, and all that it said was read
            if event & (select.POLLHUP | select.POLLERR) and not event & select.POLLIN and number not in held:
                return
