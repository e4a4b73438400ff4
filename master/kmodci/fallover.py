"""Several mirrors that serve the same: which is asked first, which failed lately, where else a file of one lies."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .quantities import growing

# seconds that a mirror is asked last for after a fault: the first time, and at most
_PAUSE, _LONGEST_PAUSE = 300.0, 3600.0


@dataclass(frozen=True, slots=True)
class _Fault:
    why: str
    times: int
    """in a row"""
    until: float


class FallOver:
    """One per process; may be used from several threads.

    A mirror that failed is not left out, but asked after all others for five minutes, and twice as long each time
    that it fails again, up to an hour: who waits for a mirror that hangs waits once, not with every look.
    """

    def __init__(self, groups: Iterable[Sequence[str]] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        """groups: base URLs of mirrors that serve the same; clock: in seconds."""
        self._groups = tuple(tuple(base.rstrip("/") for base in group) for group in groups)
        self._clock = clock
        self._faults: dict[tuple[str, str], _Fault] = {}
        self._lock = threading.Lock()

    def order(self, mirrors: Iterable[str], what: str = "") -> tuple[str, ...]:
        """In which order to ask them: as they come, and those that failed at the end.

        what: a repository, to consider also what of it a mirror had wrong.
        """
        with self._lock:
            return tuple(sorted(mirrors, key=lambda mirror: max((f.until for f in self._now(mirror, what)), default=0)))

    def failed(self, mirror: str, why: str, what: str = "") -> None:
        """A mirror did not answer; or, given a repository, what it has of that is wrong."""
        key = (mirror.rstrip("/"), what)
        with self._lock:
            before = self._faults.get(key)
            times = before.times + 1 if before else 1
            pause = growing(_PAUSE, times, _LONGEST_PAUSE)
            self._faults[key] = _Fault(why, times, self._clock() + pause)

    def answered(self, mirror: str, what: str = "") -> None:
        """A mirror did, with what is right."""
        with self._lock:
            for each in ("", what):
                self._faults.pop((mirror.rstrip("/"), each), None)

    def faults(self, mirrors: Iterable[str], what: str = "") -> tuple[str, ...]:
        """Of those that are asked last now: why."""
        with self._lock:
            return tuple(dict.fromkeys(fault.why for mirror in mirrors for fault in self._now(mirror, what)))

    def urls(self, url: str) -> tuple[str, ...]:
        """Where a file of a mirror is: there, and below those that serve the same, in the order to ask."""
        found: dict[str, str] = {}
        for group in self._groups:
            for base in group:
                if url.startswith(f"{base}/"):
                    path = url.removeprefix(base)
                    found |= {other: other + path for other in (base, *group)}
        return tuple(found[base] for base in self.order(found)) or (url,)

    def mirror_of(self, url: str) -> str:
        """The mirror that a URL is of; empty for one of none that is known."""
        bases = (base for group in self._groups for base in group if url.startswith(f"{base}/"))
        return max(bases, key=len, default="")

    def _now(self, mirror: str, what: str) -> list[_Fault]:
        keys = dict.fromkeys([(mirror.rstrip("/"), ""), (mirror.rstrip("/"), what)])
        faults = (self._faults.get(key) for key in keys)
        return [fault for fault in faults if fault and fault.until > self._clock()]
