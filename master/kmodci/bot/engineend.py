"""A container's standard input and output, as a Docker engine hands them out.

See the Engine API, "Attach to a container", for the stream's form.
"""

from urllib.parse import urlsplit

from twisted.internet import defer, endpoints, protocol, ssl, threads
from twisted.internet.interfaces import IReactorCore, IStreamClientEndpoint
from twisted.python import failure

from ..engine import Engine
from ..errors import EngineError
from .bridge import PATIENCE, Bridge, MasterEnd, Once, join, last_words

_HEADER_LIMIT = 16 << 10
_FRAME = 8
_STDERR = 2
# bytes; an engine's have 32 KiB
_LONGEST_FRAME = 1 << 20


class Attached(protocol.Protocol):
    """HTTP until that has switched, then frames of a stream's number, a length, and bytes."""

    def __init__(self, container: str) -> None:
        self._container = container
        self._buffer = b""
        self._is_open = False
        self._master: MasterEnd | None = None
        self.opened: defer.Deferred[None] = defer.Deferred(lambda _: self.abort())
        self.words = b""

    def connectionMade(self) -> None:
        path = f"/containers/{self._container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        lines = (f"POST {path} HTTP/1.1", "Host: docker", "Connection: Upgrade", "Upgrade: tcp", "Content-Length: 0")
        self.transport.write("\r\n".join((*lines, "", "")).encode())

    def joined(self, master: MasterEnd) -> None:
        """See `bridge.FarEnd`."""
        self._master = master
        self._pass_on()

    def write(self, data: bytes) -> None:
        """Sends it to the container: what goes there is not framed."""
        self.transport.write(data)

    def close(self) -> None:
        """Ends it when all was sent."""
        self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            self._read_answer()
        if self._is_open and self._master is not None:
            self._pass_on()

    def _read_answer(self) -> None:
        header, end, rest = self._buffer.partition(b"\r\n\r\n")
        status = header.split(b" ", 2)[1:2]
        if end and status in ([b"101"], [b"200"]):
            self._buffer, self._is_open = rest, True
            self._fire(None)
        elif end or len(self._buffer) > _HEADER_LIMIT:
            said = self._buffer[-300:].decode(errors="replace")
            self._fire(EngineError(f"the engine does not attach to {self._container[:12]}: {said}"))
            self.transport.loseConnection()

    def _pass_on(self) -> None:
        assert self._master is not None  # whoever calls this has looked
        while len(self._buffer) >= _FRAME:
            end = _FRAME + int.from_bytes(self._buffer[4:_FRAME], "big")
            if end > _LONGEST_FRAME:
                # no engine's, or one that was taken over
                self.abort()
                return
            if len(self._buffer) < end:
                return
            stream, content = self._buffer[0], self._buffer[_FRAME:end]
            self._buffer = self._buffer[end:]
            if stream == _STDERR:
                self.words = last_words(self.words, content)
            else:
                self._master.transport.write(content)

    def abort(self) -> None:
        """Once is enough: a TLS transport that has ended already cannot (Twisted 26.10, tls.py `_shutdownTLS`)."""
        if self.connected:
            self.transport.abortConnection()

    def connectionLost(self, reason: failure.Failure) -> None:
        self.connected = 0
        if self._master is not None:
            self._master.transport.loseConnection()
        self._fire(EngineError(f"the engine does not attach to {self._container[:12]}: {reason.getErrorMessage()}"))

    def _fire(self, result: EngineError | None) -> None:
        if not self.opened.called:
            self.opened.callback(None) if result is None else self.opened.errback(result)


async def bridge(engine: Engine, container: str, socket: str, reactor: IReactorCore) -> Bridge:
    """Joins a container that has begun to the unix socket of that path. Raises EngineError."""
    attached = Attached(container)
    try:
        # a tunnel may have to be made first
        address = await threads.deferToThread(lambda: engine.reached_at)
        endpoint = _endpoint(engine, address, reactor)
        return await join(attached, Once(attached), endpoint, socket, reactor)
    except EngineError as error:
        what = f"Docker engine {engine.docker_host}: attach to a worker: {error.brief}"
        raise EngineError(what, hint=error.hint) from error


def _endpoint(engine: Engine, address: str, reactor: IReactorCore) -> IStreamClientEndpoint:
    url = urlsplit(address)
    if url.scheme == "unix":
        return endpoints.UNIXClientEndpoint(reactor, url.path, timeout=PATIENCE)
    host, port = url.hostname or "", url.port or (2376 if engine.tls else 2375)
    plain = endpoints.HostnameEndpoint(reactor, host, port, timeout=PATIENCE)
    if engine.tls is None:
        return plain
    ca = ssl.Certificate.loadPEM(engine.tls.ca.read_bytes())
    mine = ssl.PrivateCertificate.loadPEM(engine.tls.cert.read_bytes() + engine.tls.key.read_bytes())
    options = ssl.optionsForClientTLS(host, trustRoot=ssl.trustRootFromCertificates([ca]), clientCertificate=mine)
    return endpoints.wrapClientTLS(options, plain)
