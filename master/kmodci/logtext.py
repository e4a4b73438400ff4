"""A log that grows, read by bytes although it is kept by lines: where each line is that was asked for before."""

from bisect import bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

PAGE = 1000
"""lines that are read at once"""
Lines = Callable[[int, int], Awaitable[str]]
"""first line, number of lines -> these, each with its end"""


@dataclass(slots=True)
class Index:
    """Of one log. Every `PAGE` lines it knows at which byte they begin."""

    lines: int = 0
    size: int = 0
    """bytes of these lines"""
    _marks: list[int] = field(default_factory=lambda: [0])
    """bytes before each page"""

    async def grow(self, lines: int, read: Lines) -> None:
        """Up to so many lines; reads those that are not known yet."""
        while self.lines < lines:
            # a page that was begun goes on
            count = min(PAGE - self.lines % PAGE, lines - self.lines)
            self.size += len((await read(self.lines, count)).encode("utf-8", "replace"))
            self.lines += count
            if self.lines % PAGE == 0:
                self._marks.append(self.size)

    async def read(self, offset: int, limit: int, read: Lines) -> bytes:
        """From that byte on, so many at most."""
        page = bisect_right(self._marks, offset) - 1
        at, found = self._marks[page], bytearray()
        while page * PAGE < self.lines and len(found) < limit:
            count = min(PAGE, self.lines - page * PAGE)
            text = (await read(page * PAGE, count)).encode("utf-8", "replace")
            found += text[max(0, offset - at) :]
            at += len(text)
            page += 1
        return bytes(found[:limit])
