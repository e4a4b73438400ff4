"""Joins the standard input and output of a container, as its host hands them out, to the master's worker socket.

So a worker on another machine speaks to the master over the connection that the master has made to its host: the
container needs no network, and the master no port. How they are handed out depends on the host: `engineend`, `podend`.
"""

from twisted.internet import defer, endpoints, protocol
from twisted.internet.interfaces import IReactorCore, IStreamClientEndpoint, ITransport
from twisted.python import failure

from ..errors import EngineError

PATIENCE = 30
"""seconds, for a connection and for what the host says to it"""
# bytes of what the worker says of itself, for the log
_LAST_WORDS = 2000
# bytes that are kept until the master's end is there: a worker waits for the master's first word
_EARLY = 64 << 10
# bytes, of all that a far end says besides what is for the master: a worker says some lines of itself
_BUDGET = 64 << 20
_MESSAGE = 64
"""bytes of it that a message counts, whatever is in it"""


class FarEnd:
    """The connection to a host, which hands out one container's standard input and output. Neither is trusted."""

    transport: ITransport
    connected: int

    def __init__(self, container: str) -> None:
        super().__init__()
        self._container = container
        self._master: MasterEnd | None = None
        self._early = b""
        self._spent = 0
        self._is_cut = False
        self.opened: defer.Deferred[None] = defer.Deferred(lambda _: self.abort())
        """fires when it does, with an EngineError if it will not"""
        self.words = b""
        """what the worker said of itself last"""

    def joined(self, master: "MasterEnd") -> None:
        """From now on what comes goes there; also what has come before."""
        self._master, early, self._early = master, self._early, b""
        master.transport.write(early)

    def write(self, data: bytes) -> None:
        """Sends it to the container."""
        raise NotImplementedError

    def heard(self, content: bytes) -> None:
        """From the container's standard output."""
        self.spend(0)
        if self._is_cut:
            return
        if self._master is not None:
            self._master.transport.write(content)
        elif len(self._early) + len(content) <= _EARLY:
            self._early += content
        else:
            self.abort()

    def overheard(self, content: bytes) -> None:
        """From its standard error, or of its host about it."""
        self.spend(len(content))
        self.words = (self.words + content)[-_LAST_WORDS:]

    def spend(self, size: int) -> None:
        """For each message: what is more than any worker says ends the connection, so that it takes no more time."""
        self._spent += size + _MESSAGE
        if self._spent > _BUDGET:
            self.abort()

    def close(self) -> None:
        """Ends it when all was sent."""
        self.transport.loseConnection()

    def abort(self) -> None:
        """Ends it now. Once is enough: a TLS transport that has ended already cannot (Twisted 26.10, tls.py
        `_shutdownTLS`)."""
        if self.connected and not self._is_cut:
            self._is_cut = True
            self.transport.abortConnection()

    def ended(self, why: str) -> None:
        """The connection has."""
        self.connected = 0
        if self._master is not None:
            self._master.transport.loseConnection()
        self.settle(EngineError(f"it does not attach to {self._container}: {why}"))

    def settle(self, fault: EngineError | None = None) -> None:
        """`opened`, once."""
        if not self.opened.called:
            self.opened.callback(None) if fault is None else self.opened.errback(fault)


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


class OneProtocol(protocol.ClientFactory):
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


async def join(
    far: FarEnd, factory: protocol.ClientFactory, endpoint: IStreamClientEndpoint, socket: str, reactor: IReactorCore
) -> Bridge:
    """Connects the far end, and then the unix socket of that path to it. factory: makes `far`. Raises EngineError."""
    try:
        await endpoint.connect(factory)
        await far.opened.addTimeout(PATIENCE, reactor)
        at_master = endpoints.UNIXClientEndpoint(reactor, socket, timeout=PATIENCE)
        await at_master.connect(OneProtocol(MasterEnd(far)))
    except EngineError:
        raise
    except Exception as error:  # whatever a transport, TLS or a time limit has to say
        far.abort()
        raise EngineError(str(error) or type(error).__name__) from error
    return Bridge(far)
