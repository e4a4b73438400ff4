"""A command in a container whose output has a limit in bytes, kept by the master.

Buildbot 4.3.0 reads `logMaxSize` and does nothing with it, and the worker's `max_lines` lets a line be as long as
it likes; each second of endless output would cost the master a second, and its database 10 MB.
"""

from buildbot.process.remotecommand import RemoteShellCommand
from buildbot.util.twisted import async_to_deferred
from twisted.python import log


class BoundedCommand(RemoteShellCommand):
    """Interrupted at its limit; what it says after that is dropped."""

    def __init__(self, *, output: int, **kwargs: object) -> None:
        """output: bytes."""
        super().__init__(**kwargs)
        self._room = output
        self.is_too_long = False

    @async_to_deferred
    async def remoteUpdate(self, key: str, value: str, is_flushed: bool) -> None:
        if key in ("stdout", "stderr"):
            self._room -= len(value)
            if self._room < 0:
                self._stop()
                return
        await super().remoteUpdate(key, value, is_flushed)

    def _stop(self) -> None:
        if not self.is_too_long:
            self.is_too_long = True
            # not waited for: the worker answers only after all that it has sent before was taken
            self.interrupt("its output is longer than its limit").addErrback(log.err, "while stopping a command")
