"""What is being done, and what has been done since somebody began to look."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_Thing = TypeVar("_Thing", bound=Hashable)


@dataclass(slots=True)
class Ongoing(Generic[_Thing]):
    """The things that something was done with since `look`, or was being done with then.

    Who asks decides by the answer, and nothing may change in between: so the lock is the caller's, around both.
    """

    _seen: set[_Thing] = field(default_factory=set)
    _now: Counter[_Thing] = field(default_factory=Counter)

    def look(self) -> None:
        """From here on it counts."""
        self._seen = set(+self._now)

    def begin(self, thing: _Thing) -> None:
        self._seen.add(thing)
        self._now[thing] += 1

    def end(self, thing: _Thing) -> None:
        self._now[thing] -= 1

    def __contains__(self, thing: object) -> bool:
        return thing in self._seen
