"""How far something is: a live bar in a terminal, plain lines elsewhere."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_PLAIN_EVERY = 5.0


class Bar:
    """A context manager. Plain lines say only what is new, every few seconds."""

    def __init__(self, console: Console, *, counted: bool = True, is_shown: bool = True) -> None:
        """counted: whether what is done is counted; is_shown: False for none at all, and no lines."""
        self._console = console
        self._is_shown = is_shown
        self._said = ("", 0.0)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            *([MofNCompleteColumn()] if counted else []),
            TimeElapsedColumn(),
            console=console,
            disable=not (is_shown and console.is_terminal),
            transient=True,
            # another terminal, or a file, is none of its business
            redirect_stdout=console.is_terminal and not console.stderr,
            redirect_stderr=console.is_terminal and sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("starting", total=None)

    @property
    def is_live(self) -> bool:
        """Whether it moves on a terminal, so that lines belong above it."""
        return self._is_shown and self._console.is_terminal

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, text: str, *, completed: float | None = None, total: float | None = None) -> None:
        """Called as often as liked. total: None while it is not known."""
        if not self._is_shown:
            return
        if self._console.is_terminal:
            self._bar.update(self._task, description=text, completed=completed, total=total)
        elif text != self._said[0] and time.monotonic() - self._said[1] >= _PLAIN_EVERY:
            self.line(text)
            self._said = (text, time.monotonic())

    def line(self, text: str) -> None:
        """A line of its own, above the bar."""
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)
