"""Joins the standard input and output of a container, as its engine hands them out, to the master's worker socket.

So a worker on another machine speaks to the master over the connection that the master has made to that engine: the
container needs no network, and the master no port. See the Engine API, "Attach to a container", for the stream's form.
"""

from urllib.parse import urlsplit

from twisted.internet import defer, endpoints, protocol, ssl, threads
from twisted.internet.interfaces import IReactorCore, IStreamClientEndpoint
from twisted.python import failure

from ..engine import Engine
from ..errors import EngineError

# seconds, for a connection and for what the engine says to it
_PATIENCE = 30
_HEADER_LIMIT = 16 << 10
_FRAME = 8
_STDERR = 2
# bytes; an engine's have 32 KiB
_LONGEST_FRAME = 1 << 20
# bytes of what the worker says of itself, for the log
_LAST_WORDS = 2000


class _Once(protocol.ClientFactory):
    """As `endpoints.connectProtocol` has it, without a line in the log for each."""

    noisy = False

    def __init__(self, made: protocol.Protocol) -> None:
        self._made = made

    def buildProtocol(self, address: object) -> protocol.Protocol:
        return self._made


class _Master(protocol.Protocol):
    """The end at the master's socket."""

    def __init__(self, engine: "_Attached") -> None:
        self._engine = engine

    def connectionMade(self) -> None:
        self._engine.joined(self)

    def dataReceived(self, data: bytes) -> None:
        self._engine.transport.write(data)

    def connectionLost(self, reason: failure.Failure) -> None:
        self._engine.transport.loseConnection()


class _Attached(protocol.Protocol):
    """The end at the engine: HTTP until that has switched, then frames of a stream's number, a length, and bytes."""

    def __init__(self, container: str) -> None:
        self._container = container
        self._buffer = b""
        self._is_open = False
        self._master: _Master | None = None
        self.opened: defer.Deferred[None] = defer.Deferred(lambda _: self.abort())
        self.words = b""

    def connectionMade(self) -> None:
        path = f"/containers/{self._container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        lines = (f"POST {path} HTTP/1.1", "Host: docker", "Connection: Upgrade", "Upgrade: tcp", "Content-Length: 0")
        self.transport.write("\r\n".join((*lines, "", "")).encode())

    def joined(self, master: _Master) -> None:
        """Nothing is lost in between: a worker waits for the master's first word."""
        self._master = master
        # each end is read no faster than the other one takes it
        master.transport.registerProducer(self.transport, True)
        self.transport.registerProducer(master.transport, True)
        self._pass_on()

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
                self.words = (self.words + content)[-_LAST_WORDS:]
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


class Bridge:
    """One, while it lasts; it ends with either of its ends."""

    def __init__(self, attached: _Attached) -> None:
        self._attached = attached

    @property
    def words(self) -> str:
        """What the worker said of itself last."""
        return self._attached.words.decode(errors="replace")

    def cut(self) -> None:
        """Ends it, whether the engine takes notice or not."""
        self._attached.abort()


async def bridge(engine: Engine, container: str, socket: str, reactor: IReactorCore) -> Bridge:
    """Joins a container that has begun to the unix socket of that path. Raises EngineError."""
    attached = _Attached(container)
    try:
        # a tunnel may have to be made first
        address = await threads.deferToThread(lambda: engine.reached_at)
        await _endpoint(engine, address, reactor).connect(_Once(attached))
        await attached.opened.addTimeout(_PATIENCE, reactor)
        at_master = endpoints.UNIXClientEndpoint(reactor, socket, timeout=_PATIENCE)
        await at_master.connect(_Once(_Master(attached)))
    except EngineError:
        raise
    except Exception as error:  # whatever a transport, TLS or a time limit has to say
        attached.abort()
        raise EngineError(f"Docker engine {engine.docker_host}: attach to a worker: {error}") from error
    return Bridge(attached)


def _endpoint(engine: Engine, address: str, reactor: IReactorCore) -> IStreamClientEndpoint:
    url = urlsplit(address)
    if url.scheme == "unix":
        return endpoints.UNIXClientEndpoint(reactor, url.path, timeout=_PATIENCE)
    host, port = url.hostname or "", url.port or (2376 if engine.tls else 2375)
    plain = endpoints.HostnameEndpoint(reactor, host, port, timeout=_PATIENCE)
    if engine.tls is None:
        return plain
    ca = ssl.Certificate.loadPEM(engine.tls.ca.read_bytes())
    mine = ssl.PrivateCertificate.loadPEM(engine.tls.cert.read_bytes() + engine.tls.key.read_bytes())
    options = ssl.optionsForClientTLS(host, trustRoot=ssl.trustRootFromCertificates([ca]), clientCertificate=mine)
    return endpoints.wrapClientTLS(options, plain)
