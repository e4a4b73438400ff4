"""Logs of programs that know nothing of rotation and write to what they are given: rolled over before a start."""

from contextlib import suppress
from pathlib import Path

_LARGEST = 10_000_000
"""bytes"""
_KEPT = 3


def roll(log: Path) -> None:
    """Makes room for a new log where this one is large: it becomes `log.1`, that `log.2`, and the last one goes.

    What cannot be renamed stays, and is written on: no start fails for it.
    """
    with suppress(OSError):
        if log.stat().st_size < _LARGEST:
            return
        for number in range(_KEPT - 1, 0, -1):
            with suppress(FileNotFoundError):
                _numbered(log, number).replace(_numbered(log, number + 1))
        log.replace(_numbered(log, 1))


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
