"""The port that workers log in at, and what Buildbot 4.3.0 leaves open there to a worker that was taken over.

Of Twisted's protocol (twisted.spread.banana) each list and each string has a limit, and a message of them has none: a
few hundred thousand strings of 640 KB are one, for which nobody has to have logged in.
"""

from buildbot.worker.protocols.manager import pb as manager
from twisted.python import log
from twisted.spread import pb

MOST = 1 << 20
"""bytes of a message that has not ended; files come in pieces of a quarter of that"""


class BoundedBroker(pb.Broker):
    """A connection that ends when a message does not."""

    _unfinished = 0

    def dataReceived(self, data: bytes) -> None:
        self._unfinished += len(data)
        if self._unfinished > MOST:
            log.msg(f"a worker's connection is cut: its message has more than {MOST} bytes")
            self.transport.abortConnection()
            return
        super().dataReceived(data)

    def callExpressionReceived(self, obj: object) -> None:
        self._unfinished = 0
        super().callExpressionReceived(obj)


class BoundedDispatcher(manager.Dispatcher):
    """Also tells nobody where in the master's code their call has failed."""

    def __init__(self, config_portstr: str, portstr: str) -> None:
        super().__init__(config_portstr, portstr)
        self.serverFactory.protocol = BoundedBroker
        self.serverFactory.unsafeTracebacks = False


def guard_worker_port() -> None:
    """Before the first worker is registered, which makes the port."""
    manager.PBManager.dispatcher_class = BoundedDispatcher
