"""How often who may ask, and how much of it at once. Memory is bounded."""

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MOST = 10_000


class Limiter:
    """A bucket of tokens for each, that fills at a rate. Not to be used from two threads at once.

    Who was not seen for long is forgotten, and has a full bucket again.
    """

    def __init__(self, rate: float, burst: int, *, most: int = _MOST) -> None:
        """rate: a second; burst: at once, at most; most: how many are remembered."""
        self.rate, self.burst, self._most = rate, burst, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, who: str, now: float) -> float:
        """Takes one. now: seconds of any clock. Returns 0, or, where none is left, the seconds until there is."""
        left, then = self._left.get(who, (float(self.burst), now))
        left = min(self.burst, left + max(0.0, now - then) * self.rate)
        waits = 0.0 if left >= 1 else (1 - left) / self.rate
        self._left[who] = (left if waits else left - 1, now)
        self._left.move_to_end(who)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return waits

    def charge(self, who: str, cost: int) -> None:
        """So many more are taken of who took one, for what that one costs: there may be less than none left."""
        if who in self._left:
            left, then = self._left[who]
            self._left[who] = (left - min(cost, self.burst), then)


class Quota:
    """How many things each has under way. Memory is bounded by how many there are of them, times `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._has: dict[str, set[str]] = {}
        self._coming: dict[str, Counter[str]] = {}
        """by how many requests each is about to be opened: until then nobody else knows of it"""

    def take(self, who: str, what: str, is_open: Callable[[str], bool]) -> bool:
        """Notes that one more is about to be opened, or may be open already. Returns whether that is not too many.

        If it is not, `settle` is called in the end.
        """
        has, coming = self._has.setdefault(who, set()), self._coming.setdefault(who, Counter())
        has -= {each for each in has if not is_open(each)}
        if what not in has and what not in coming and len(has | coming.keys()) >= self.most:
            return False
        coming[what] += 1
        return True

    def settle(self, who: str, what: str, *, is_open: bool) -> None:
        """What was taken is open by now, or has come to nothing."""
        coming = self._coming[who]
        coming[what] -= 1
        if not coming[what]:
            del coming[what]
        if is_open:
            self.note(who, what)

    def note(self, who: str, what: str) -> None:
        """It is open, and counts, however many there are."""
        self._has.setdefault(who, set()).add(what)


@lru_cache(_MOST)
def asker(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> str:
    """Who asks, by address: the peer, or who a trusted proxy says it asks for.

    forwarded: X-Forwarded-For, to whose end each proxy adds whom it was asked by; what stands before that of the last
    trusted one may be made up. Of IPv6 it is the /64: who has one address has them all.
    """
    found = _address(peer)
    for text in reversed(forwarded.split(",")[-16:]):
        if found is None or not any(found in network for network in trusted):
            break
        before = _address(text.strip())
        if before is None:
            break
        found = before
    if found is None:
        return "unknown"
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (found.version == 6 and found.ipv4_mapped) or found
