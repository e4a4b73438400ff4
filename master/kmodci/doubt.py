"""What a repository says and is not taken at its word for yet. Decides, and does nothing.

A mirror that is set up anew signs an empty index as well as any other, and one that was restored from a backup an old
one. So what would take away all at once is an error at first, until the repository has said the same for some looks in
a row, or a person accepts it. Fewer kernels than before are no reason: a point release drops many, rightly, and what is
dropped wrongly is only marked as gone until it is listed again (`discovery.missed`).
"""

import hashlib
import shlex
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from .errors import IndexDamaged
from .model import Kernel, Target

LOOKS = 3
"""that say the same, one after the other, and are taken at their word then"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What a repository has said of late. Times are seconds since the epoch."""

    digest: str
    """names what it says: the same digest is the same answer"""
    what: str
    """the same in words"""
    since: float
    """when it first said so; it has not said anything else since"""
    looks: int
    """how many looks in a row found that"""
    last: float
    """when the last of them was"""

    @property
    def is_settled(self) -> bool:
        return self.looks >= LOOKS


class Doubted(IndexDamaged):
    """What a repository says is not believed yet."""

    def __init__(self, source: str, doubt: Doubt) -> None:
        super().__init__(
            f"{source}: {doubt.what}; what was known of it stays",
            hint=f"{doubt.looks} of {LOOKS} looks in a row say so; then it is taken at its word, or once you accept "
            f"it: `kmodci accept {shlex.quote(source)}`, or its page in the web interface",
        )
        self.doubt = doubt


def emptied(listed: Iterable[Kernel], found: Iterable[Kernel], asked: Collection[Target]) -> str:
    """What is odd about a repository that lists no kernel of a target that it had kernels of; empty if it lists some.

    Each architecture has an index of its own, which may be the one that is broken. listed: what it has listed;
    asked: the targets that were looked for.
    """
    had = Counter(kernel.target for kernel in listed if not kernel.gone and kernel.target in asked)
    lost = sorted(had.keys() - {kernel.target for kernel in found})
    if not lost:
        return ""
    count = sum(had[target] for target in lost)
    return f"it lists no kernel{'' if len(lost) == len(had) else f' of {_names(lost)}'}, and had {count}"


def dated_back(dated: datetime, before: datetime) -> str:
    """What is odd about a repository that says it was published earlier than it said before."""
    return f"it is of {dated:%Y-%m-%d %H:%M} UTC, and one of {before:%Y-%m-%d %H:%M} UTC was there before"


def doubted(before: Doubt | None, what: str, *, content: str = "", now: float, apart: float) -> Doubt:
    """What is known of an odd answer after this look. before: after the look before this, if that was odd as well.

    what: is odd, in words; content: names what else has to be the same. apart: seconds; looks that are closer together
    count as one, because a master that is started again looks at once.
    """
    digest = hashlib.sha256(f"{what}\n{content}".encode()).hexdigest()
    if before is None or before.digest != digest:
        return Doubt(digest=digest, what=what, since=now, looks=1, last=now)
    if before.looks and 0 <= now - before.last < apart:
        return before
    return replace(before, looks=before.looks + 1, last=now)


def interrupted(before: Doubt | None) -> Doubt | None:
    """After a look that failed otherwise: what it says now is not known, so the row begins anew."""
    return replace(before, looks=0) if before else None


def _names(targets: Iterable[Target]) -> str:
    return ", ".join(map(str, targets))
