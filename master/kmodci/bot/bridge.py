"""Joins the standard input and output of a container, as its host hands them out, to the master's worker socket.

So a worker on another machine speaks to the master over the connection that the master has made to its host: the
container needs no network, and the master no port. How they are handed out depends on the host: `engineend`, `podend`.
"""

from typing import Protocol

from twisted.internet import defer, endpoints, protocol
from twisted.internet.interfaces import IReactorCore, IStreamClientEndpoint, ITransport
from twisted.python import failure

from ..errors import EngineError

PATIENCE = 30
"""seconds, for a connection and for what the host says to it"""
# bytes of what the worker says of itself, for the log
_LAST_WORDS = 2000


class FarEnd(Protocol):
    """The connection to a host, which hands out one container's standard input and output."""

    opened: defer.Deferred[None]
    """fires when it does, with an EngineError if it will not"""
    words: bytes
    """what the worker said of itself last"""
    transport: ITransport

    def joined(self, master: "MasterEnd") -> None:
        """From now on what comes goes there; also what has come before."""

    def write(self, data: bytes) -> None:
        """Sends it to the container."""

    def close(self) -> None:
        """Ends it when all was sent."""

    def abort(self) -> None:
        """Ends it now; once more is no error."""


class MasterEnd(protocol.Protocol):
    """The end at the master's socket."""

    def __init__(self, far: FarEnd) -> None:
        self._far = far

    def connectionMade(self) -> None:
        # each end is read no faster than the other one takes it
        self.transport.registerProducer(self._far.transport, True)
        self._far.transport.registerProducer(self.transport, True)
        # nothing is lost in between: a worker waits for the master's first word
        self._far.joined(self)

    def dataReceived(self, data: bytes) -> None:
        self._far.write(data)

    def connectionLost(self, reason: failure.Failure) -> None:
        self._far.close()


class Once(protocol.ClientFactory):
    """As `endpoints.connectProtocol` has it, without a line in the log for each."""

    noisy = False

    def __init__(self, made: protocol.Protocol) -> None:
        self._made = made

    def buildProtocol(self, address: object) -> protocol.Protocol:
        return self._made


class Bridge:
    """One, while it lasts; it ends with either of its ends."""

    def __init__(self, far: FarEnd) -> None:
        self._far = far

    @property
    def words(self) -> str:
        """What the worker said of itself last."""
        return self._far.words.decode(errors="replace")

    def cut(self) -> None:
        """Ends it, whether the host takes notice or not."""
        self._far.abort()


def last_words(said: bytes, more: bytes) -> bytes:
    """Of what a worker says of itself, as much as is kept."""
    return (said + more)[-_LAST_WORDS:]


async def join(
    far: FarEnd, factory: protocol.ClientFactory, endpoint: IStreamClientEndpoint, socket: str, reactor: IReactorCore
) -> Bridge:
    """Connects the far end, and then the unix socket of that path to it. factory: makes `far`. Raises EngineError."""
    try:
        await endpoint.connect(factory)
        await far.opened.addTimeout(PATIENCE, reactor)
        at_master = endpoints.UNIXClientEndpoint(reactor, socket, timeout=PATIENCE)
        await at_master.connect(Once(MasterEnd(far)))
    except EngineError:
        raise
    except Exception as error:  # whatever a transport, TLS or a time limit has to say
        far.abort()
        raise EngineError(str(error) or type(error).__name__) from error
    return Bridge(far)
