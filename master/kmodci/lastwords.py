"""What the scripts that run in containers say at their end: `error: <why>` or `excluded: <why>`, as their last line."""

from collections.abc import Callable

_LINE_LIMIT = 2000


class LastWords:
    """Passes on what a script says, and keeps why it ended."""

    def __init__(self, output: Callable[[bytes], None] = lambda _: None) -> None:
        self._output = output
        self._rest = b""
        self.line = ""
        """the last one that says why, with its first word; empty if none did"""

    def hear(self, data: bytes) -> None:
        """What it said since."""
        self._output(data)
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-_LINE_LIMIT:]
        for line in lines:
            if line.startswith((b"error: ", b"excluded: ")):
                self.line = line[:_LINE_LIMIT].decode(errors="replace")
