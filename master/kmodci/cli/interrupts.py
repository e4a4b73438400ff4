"""Ctrl-C, told apart by how often it came: the first stops a command, and does not break off how it stops."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Interrupts:
    """How often a user, or the system, asked to stop."""

    count: int = 0


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """The first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt; later ones are only counted."""
    interrupts = Interrupts()

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupts.count += 1
        if interrupts.count == 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
