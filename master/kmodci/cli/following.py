"""A build of a farm, followed to its end: its log as it is written, and how far it is."""

import codecs
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..apiclient import ApiClient
from ..board import RUNNING
from ..errors import NotFound
from ..quantities import duration_text
from ..told import BuildTold, printable
from .bar import Bar

_LOOK_EVERY = 1.0
# looks at a log that should have an end and has none yet: it is published after the build has ended
_LAST_LOOKS = 5
# and at a build that waits for nothing that can be seen, until it is believed
_IDLE_LOOKS = 15
# how often a build is asked for anew of which the farm knows nothing any more
_MOST_AGAIN = 3
_LIVE = re.compile(r"[0-9]+/[0-9]+")


@dataclass(slots=True, kw_only=True)
class Follower:
    """Follows one build.

    ask: asks for it anew, where the source of its module has moved on; before: when it had last ended before it was
    asked for, in seconds since the epoch, or None; log: is given the log, or None for none; end: when to give up, by
    the monotonic clock.
    """

    client: ApiClient
    ask: Callable[[], BuildTold]
    before: float | None
    log: Callable[[bytes], None] | None
    bar: Bar
    end: float
    _offset: int = 0
    _log_of: str = ""
    _idle: int = 0
    _has_run: bool = False
    _asked: int = 0
    _began: float = field(default_factory=time.monotonic)

    @property
    def is_stopped(self) -> bool:
        """Whether it has not run to its end and is not queued either, for a while: it was stopped, the farm failed it,
        or it is held. What is told of it is then as it was before."""
        return self._idle > _IDLE_LOOKS

    def follow(self, told: BuildTold) -> BuildTold | None:
        """How it ended, or stands where it is stopped; None if neither when it was time to give up."""
        while not self._is_over(told):
            if told.status == RUNNING:
                self._has_run = True
                self._read_log(told.id)
            self._show(told)
            self._idle = 0 if told.status == RUNNING or told.place else self._idle + 1
            if self.is_stopped:
                return told
            left = self.end - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(_LOOK_EVERY, left))
            told = self._look(told.id)
        # one that never ran has the log of another try, or none
        if self._has_run or told.finished not in (None, self.before):
            self._read_rest(told.id)
        return told

    def _look(self, identity: str) -> BuildTold:
        """How it stands. The id names a version; of one that is neither published nor built any more the farm knows
        nothing, and there will be a build of the next."""
        try:
            return self.client.build(identity)
        except NotFound:
            self._asked += 1
            if self._asked > _MOST_AGAIN:
                raise
            return self.ask()

    def _is_over(self, told: BuildTold) -> bool:
        """What is built anew is as it was until it has ended again."""
        return not told.is_coming and (self.before is None or told.finished != self.before)

    def _read_log(self, identity: str) -> bool:
        """All that there is now. Returns whether that was the end of it."""
        while self.log:
            piece = self.client.log(identity, self._offset)
            if piece is None:
                return False
            if self._log_of not in ("", piece.build):
                if not _LIVE.fullmatch(piece.build):
                    # what is published of it: another log, which says what was seen already
                    return True
                # tried once more
                self._offset, self._log_of = 0, piece.build
                continue
            self._log_of = piece.build
            if not piece.data:
                return piece.is_complete
            self._offset += len(piece.data)
            self.log(piece.data)
        return True

    def _read_rest(self, identity: str) -> None:
        for _ in range(_LAST_LOOKS):
            if self._read_log(identity):
                return
            time.sleep(_LOOK_EVERY)

    def _show(self, told: BuildTold) -> None:
        spent = time.monotonic() - self._began
        total = spent + told.eta_seconds if told.eta_seconds else None
        self.bar.update(standing_text(told), completed=spent if total else None, total=total)


def standing_text(told: BuildTold) -> str:
    """`pending, number 3 in the queue, about 2m`."""
    words = [told.status]
    if told.place:
        words.append(f"number {told.place} in the queue")
    if told.is_coming and told.eta_seconds:
        words.append(f"about {duration_text(told.eta_seconds)}")
    if told.reason:
        words.append(told.reason)
    return ", ".join(words)


class LogPrinter:
    """A log on stdout as it comes; on a terminal without what that would obey, and above a bar that is live."""

    def __init__(self, bar: Bar, *, to_stderr: bool = False) -> None:
        """to_stderr: where stdout is for something else."""
        self._stream = sys.stderr if to_stderr else sys.stdout
        self._bar = bar
        self._is_terminal = self._stream.isatty()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""

    def __call__(self, data: bytes) -> None:
        if not self._is_terminal:
            self._stream.buffer.write(data)
            self._stream.flush()
            return
        *lines, self._begun = (self._begun + self._decoder.decode(data)).split("\n")
        for line in lines:
            self._line(line)

    def end(self) -> None:
        """The last line, if it was none yet."""
        if self._begun:
            self._line(self._begun)
            self._begun = ""

    def _line(self, text: str) -> None:
        if self._bar.is_live:
            self._bar.line(printable(text))
        else:
            # the bar's lines go into a file
            self._stream.write(f"{printable(text)}\n")
            self._stream.flush()
