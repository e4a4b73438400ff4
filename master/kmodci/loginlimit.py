"""How often passwords may be tried: a pause that grows with each one that was wrong. Memory is bounded."""

from collections import OrderedDict
from dataclasses import dataclass

_FREE = 3
_FORGET = 3600.0
_MOST = 10_000


@dataclass(slots=True)
class _Tries:
    count: int = 0
    until: float = 0
    last: float = 0


class Pauses:
    """By whatever names who tries, or who is tried. Not to be used from two threads at once.

    A try is noted before it is known how it ends: a thousand at once are a thousand.
    """

    def __init__(self, *, longest: float, most: int = _MOST) -> None:
        """longest: seconds that a pause may last; most: how many are remembered."""
        self._longest, self._most = longest, most
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tries)

    def take(self, who: str, now: float) -> float:
        """Notes a try. now: seconds of any clock. Returns 0, or, in a pause, the seconds that are left of it."""
        tries = self._tries.setdefault(who, _Tries(last=now))
        self._tries.move_to_end(who)
        if len(self._tries) > self._most:
            self._tries.popitem(last=False)
        if now < tries.until:
            return tries.until - now
        if now - max(tries.last, tries.until) > _FORGET:
            tries.count = 0
        tries.count += 1
        tries.last = now
        tries.until = now + self._pause(tries.count)
        return 0

    def give_back(self, who: str) -> None:
        """One try was right: as if it had not been. What was tried before still counts: who has an account of their own
        could clear it for all others otherwise."""
        if tries := self._tries.get(who):
            tries.count = max(0, tries.count - 1)
            tries.until = 0

    def forget(self, who: str) -> None:
        """Who is tried has come in."""
        self._tries.pop(who, None)

    def _pause(self, count: int) -> float:
        """After the first few wrong ones 1 s, 2 s, 4 s and so on."""
        return 0 if count < _FREE else min(2.0 ** min(count - _FREE, 30), self._longest)
