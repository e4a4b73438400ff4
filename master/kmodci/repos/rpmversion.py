"""Versions of rpm packages, `epoch:version-release`: which is newer.

As rpm does it: rpmio/rpmvercmp.c, and "Versioning" of
https://rpm-software-management.github.io/rpm/manual/dependencies.html
"""

import re
from collections.abc import Iterator

_PART = re.compile(r"[~^]|[0-9]+|[A-Za-z]+")


def compare(version: str, other: str) -> int:
    """Below, equal to or above zero, as the first is older, the same or newer. One without an epoch has epoch 0."""
    first, second = split(version), split(other)
    if first[0] != second[0]:
        return 1 if first[0] > second[0] else -1
    return _compare(first[1], second[1]) or _compare(first[2], second[2])


def split(version: str) -> tuple[int, str, str]:
    """`1:5.14.0-503.el9` -> 1, 5.14.0, 503.el9."""
    epoch, _, rest = version.rpartition(":")
    upstream, _, release = rest.partition("-")
    return int(epoch) if epoch.isdecimal() else 0, upstream, release


def _compare(first: str, second: str) -> int:
    """Of two versions, or of two releases; part by part."""
    parts, others = _ranks(first), _ranks(second)
    while True:
        part, other = next(parts), next(others)
        if part != other:
            return 1 if part > other else -1
        if part == _END:
            return 0


_TILDE, _END, _CARET, _LETTERS, _DIGITS = ((number, 0, "") for number in range(5))


def _ranks(text: str) -> Iterator[tuple[int, int, str]]:
    """What orders the parts: `~`, the end, `^`, letters, numbers. Other signs only part them."""
    for part in _PART.findall(text):
        if part in "~^":
            yield _TILDE if part == "~" else _CARET
        elif part.isdecimal():
            yield _DIGITS[0], int(part), ""
        else:
            yield _LETTERS[0], 0, part
    while True:
        yield _END
