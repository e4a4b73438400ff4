"""Finds a worker that has fallen silent: connected, and answering nothing.

A worker that ends closes its socket, and Buildbot sees that. One that is stopped or starved does not, and since a
worker itself counts the time of what it runs, its build would run for ever. So it is asked now and then; when it has
not answered for `PATIENCE` seconds its connection is cut, and the build is tried again in another container.
Buildbot's own question comes once an hour and is asked without a time limit.
"""

from buildbot.util.twisted import async_to_deferred
from buildbot.worker.protocols.pb import Connection
from twisted.internet import defer, task
from twisted.internet.interfaces import IReactorTime
from twisted.python import log
from twisted.spread import pb

ASK_EVERY = 15.0
# A build that uses all of its memory and processes may keep its worker from answering for a while.
PATIENCE = 60.0


class Liveness:
    """Asks over one connection until that ends."""

    def __init__(self, name: str, connection: Connection, clock: IReactorTime) -> None:
        self._name, self._connection, self._clock = name, connection, clock
        self._timer = task.LoopingCall(self._ask)
        self._timer.clock = clock

    def start(self) -> None:
        self._connection.notifyOnDisconnect(self._stop)
        self._timer.start(ASK_EVERY, now=False)

    def _stop(self) -> None:
        if self._timer.running:
            self._timer.stop()

    @async_to_deferred
    async def _ask(self) -> None:
        try:
            await self._connection.remotePrint("keepalive").addTimeout(PATIENCE, self._clock)
        except defer.TimeoutError:
            log.msg(f"{self._name} has not answered for {PATIENCE:.0f} s and is cut off", worker=self._name)
            self._connection.loseConnection()
        except (pb.PBConnectionLost, pb.DeadReferenceError):
            pass  # it has ended, which Buildbot sees by itself
