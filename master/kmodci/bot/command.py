"""Commands in a container, with what their worker may tell of them limited by the master: it may have been taken over.

Buildbot 4.3.0 reads `logMaxSize` and does nothing with it, and the worker's `max_lines` lets a line be as long as
it likes; each second of endless output would cost the master a second, and its database 10 MB. What it does not know it
keeps in memory, and how long a command may take is left to the worker.
"""

from collections.abc import Sequence
from typing import TypeVar

from buildbot.process.buildstep import BuildStep
from buildbot.process.remotecommand import RemoteCommand, RemoteShellCommand
from buildbot.util import bytes2unicode
from buildbot.util.twisted import async_to_deferred
from buildbot.worker.protocols.base import Connection
from twisted.internet import defer, reactor
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python import log
from twisted.spread import pb

T = TypeVar("T")

_SAID = frozenset({"stdout", "stderr", "header"})
# seconds: for the largest file there may be, and for what a worker needs to end a command that took too long
_UPLOAD, _GRACE = 600.0, 120.0
_LINE = 64
"""bytes that a command's status is in its log"""


class _Told(RemoteCommand):
    """Takes of its worker's updates what is expected."""

    expected: frozenset[str] = frozenset()
    longest: float = _UPLOAD
    """seconds"""
    clock: IReactorTime = reactor

    def remote_update(self, updates: Sequence[tuple[dict[str | bytes, object], int]]) -> int:
        kept = [
            ({key: value for key, value in told.items() if bytes2unicode(key) in self.expected}, number)
            for told, number in updates
        ]
        last: int = super().remote_update(kept)
        return last

    def remote_update_msgpack(self, updates: object) -> None:
        """Of Buildbot's other protocol: no worker of ours calls it, and what it is told would pass by `expected`."""
        raise pb.Error("updates come by remote_update")

    def run(self, step: BuildStep, conn: Connection, builder_name: str) -> defer.Deferred[RemoteCommand]:
        timer = self.clock.callLater(self.longest, self._cut)
        ended: defer.Deferred[RemoteCommand] = super().run(step, conn, builder_name)
        return ended.addBoth(_stopped, timer)

    def _cut(self) -> None:
        if self.conn is not None:
            log.msg(f"a worker has not ended its command within {self.longest:.0f} s and is cut off")
            self.conn.loseConnection()


def _stopped(result: T, timer: IDelayedCall) -> T:
    if timer.active():
        timer.cancel()
    return result


class Upload(_Told):
    """Of a file, from its worker."""

    expected = frozenset({"rc"})


class Download(_Told):
    """Of a file, to its worker."""

    expected = frozenset({"rc"})


class BoundedCommand(_Told, RemoteShellCommand):
    """Interrupted at its limit; what it says after that is dropped."""

    expected = _SAID | {"rc", "failure_reason"}

    def __init__(self, *, output: int, seconds: int, **kwargs: object) -> None:
        """output: bytes; seconds: that the worker lets it run."""
        super().__init__(maxTime=seconds, **kwargs)
        self.longest = seconds + _GRACE
        self._room = output
        self.is_too_long = False

    @async_to_deferred
    async def remoteUpdate(self, key: str, value: str, is_flushed: bool) -> None:
        # how it has ended is told once, and also of what was stopped
        if key in _SAID or (key == "rc" and self.rc is not None):
            self._room -= len(value) if key in _SAID else _LINE
            if self._room < 0:
                self._stop()
                return
        await super().remoteUpdate(key, value, is_flushed)

    def _stop(self) -> None:
        if not self.is_too_long:
            self.is_too_long = True
            # not waited for: the worker answers only after all that it has sent before was taken
            self.interrupt("its output is longer than its limit").addErrback(log.err, "while stopping a command")
