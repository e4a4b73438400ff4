"""Versions of pacman packages, `epoch:version-release`: which is newer.

As vercmp(8) orders them: much as rpm does, but what parts two segments counts, and what is left over at the end.
"""

import re

_GAP = re.compile(r"[^0-9A-Za-z]*")
_SEGMENT = re.compile(r"[0-9]+|[A-Za-z]+")


def vercmp(version: str, other: str) -> int:
    """Below, equal to or above zero, as the first is older, the same or newer.

    The release counts only if both have one.
    """
    first, second = _split(version), _split(other)
    order = _compare(first[0], second[0]) or _compare(first[1], second[1])
    return order or (0 if first[2] is None or second[2] is None else _compare(first[2], second[2]))


def _split(version: str) -> tuple[str, str, str | None]:
    """`1:6.12.7.arch1-1` -> 1, 6.12.7.arch1, 1."""
    epoch, colon, rest = version.partition(":")
    if not colon or epoch.strip("0123456789"):
        epoch, rest = "", version
    upstream, dash, release = rest.rpartition("-")
    return (epoch or "0", upstream, release) if dash else (epoch or "0", rest, None)


def _compare(one: str, two: str) -> int:
    """Of two versions, or of two releases; segment by segment."""
    if one == two:
        return 0
    while one and two:
        gap, other_gap = _GAP.match(one), _GAP.match(two)
        assert gap and other_gap  # it may be empty
        one, two = one[gap.end() :], two[other_gap.end() :]
        if not (one and two):
            break
        if gap.end() != other_gap.end():
            return -1 if gap.end() < other_gap.end() else 1
        segment, other = _SEGMENT.match(one), _SEGMENT.match(two)
        assert segment and other  # what is no gap is a segment
        order = _rank(segment[0]), _rank(other[0])
        if order[0] != order[1]:
            return -1 if order[0] < order[1] else 1
        one, two = one[segment.end() :], two[other.end() :]
    if not (one or two):
        return 0
    # letters left over are less than nothing left (`1.0rc` < `1.0`), anything else is more
    return -1 if one[:1].isalpha() or not (one or two[:1].isalpha()) else 1


def _rank(segment: str) -> tuple[bool, int, str]:
    """Numbers after letters."""
    return (True, int(segment), "") if segment.isdecimal() else (False, 0, segment)
