"""A container's standard input and output, as a Docker engine hands them out.

See the Engine API, "Attach to a container", for the stream's form.
"""

from urllib.parse import urlsplit

from twisted.internet import endpoints, protocol, ssl, threads
from twisted.internet.interfaces import IReactorCore, IStreamClientEndpoint
from twisted.python import failure

from ..engine import Engine
from ..errors import EngineError
from .bridge import PATIENCE, Bridge, FarEnd, OneProtocol, join

_HEADER_LIMIT = 16 << 10
_FRAME = 8
_STDERR = 2
# bytes; an engine's have 32 KiB
_LONGEST_FRAME = 1 << 20


class Attached(FarEnd, protocol.Protocol):
    """HTTP until that has switched, then frames of a stream's number, a length, and bytes."""

    def __init__(self, container: str) -> None:
        super().__init__(container[:12])
        self._path = f"/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        self._buffer = bytearray()
        self._is_open = False

    def connectionMade(self) -> None:
        asked = f"POST {self._path} HTTP/1.1"
        lines = (asked, "Host: docker", "Connection: Upgrade", "Upgrade: tcp", "Content-Length: 0", "", "")
        self.transport.write("\r\n".join(lines).encode())

    def write(self, data: bytes) -> None:
        """Sends it to the container: what goes there is not framed."""
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            self._read_answer()
        if self._is_open:
            self._pass_on()

    def _read_answer(self) -> None:
        header, end, rest = self._buffer.partition(b"\r\n\r\n")
        status = header.split(b" ", 2)[1:2]
        if end and status in ([b"101"], [b"200"]):
            self._buffer, self._is_open = rest, True
            self.settle()
        elif end or len(self._buffer) > _HEADER_LIMIT:
            said = self._buffer[-300:].decode(errors="replace")
            self.settle(EngineError(f"the engine does not attach to {self._container}: {said}"))
            self.transport.loseConnection()

    def _pass_on(self) -> None:
        at = 0
        while not self._is_cut and len(self._buffer) >= at + _FRAME:
            end = at + _FRAME + int.from_bytes(self._buffer[at + 4 : at + _FRAME], "big")
            if end - at > _LONGEST_FRAME:
                # no engine's, or one that was taken over
                self.abort()
                break
            if len(self._buffer) < end:
                break
            content = bytes(self._buffer[at + _FRAME : end])
            self.overheard(content) if self._buffer[at] == _STDERR else self.heard(content)
            at = end
        del self._buffer[:at]

    def connectionLost(self, reason: failure.Failure) -> None:
        self.ended(reason.getErrorMessage())


async def bridge(engine: Engine, container: str, socket: str, reactor: IReactorCore) -> Bridge:
    """Joins a container that has begun to the unix socket of that path. Raises EngineError."""
    attached = Attached(container)
    try:
        # a tunnel may have to be made first
        address = await threads.deferToThread(lambda: engine.reached_at)
        endpoint = _endpoint(engine, address, reactor)
        return await join(attached, OneProtocol(attached), endpoint, socket, reactor)
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
