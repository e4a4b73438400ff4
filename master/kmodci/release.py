"""Kernel releases: what `uname -r` prints. Checked by type, ordered as Debian orders versions.

A release comes from a mirror, a form or a node, and ends in paths, keys, builder names and shell
words; so what is not surely harmless is refused here, once.
"""

import re

from .errors import KmodciError

# UTS_RELEASE is at most 64 characters (include/generated/utsrelease.h, kernel Makefile). The first is a
# digit; a `..` could climb, so it is refused although the characters are.
_RELEASE = re.compile(r"[0-9][0-9A-Za-z.+~_-]{0,63}")
_NAME = re.compile(r"[a-z0-9][a-z0-9+._-]{0,62}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~^:_-]{0,127}")


class BadName(KmodciError, ValueError):
    """A name with characters that could harm a path, a key, a shell word or a page."""

    exit_code = 2


def check_release(text: str) -> str:
    """The kernel release, unchanged. Raises BadName."""
    if not _RELEASE.fullmatch(text) or ".." in text:
        raise BadName(
            f"not a kernel release: {text[:80]!r}",
            hint="a kernel release is what `uname -r` prints: a digit, then letters, digits and . + ~ _ - only",
        )
    return text


def check_name(text: str, what: str = "name") -> str:
    """A module, distribution, series or architecture name, unchanged. Raises BadName."""
    if not _NAME.fullmatch(text) or ".." in text:
        raise BadName(f"not a {what}: {text[:80]!r}", hint="lower-case letters, digits and . + _ - only")
    return text


def check_version(text: str, what: str = "version") -> str:
    """A package or module version, unchanged. Raises BadName."""
    if not _VERSION.fullmatch(text) or ".." in text:
        raise BadName(f"not a {what}: {text[:80]!r}", hint="letters, digits and . + ~ ^ : _ - only")
    return text


def version_key(text: str) -> tuple[tuple[str, int], ...]:
    """A sort key for kernel releases: digits as numbers, `~` before the end (as in deb-version(7)).

    For "which kernel is newer" in any distribution; package versions, with their epochs and
    revisions, are compared by `distros` with the distribution's own rules.
    """
    key: list[tuple[str, int]] = []
    for other, digits in re.findall(r"([^0-9]*)([0-9]*)", text):
        key.append((_letters(other) + "\x01", int(digits or 0)))
    return tuple(key)


def _letters(text: str) -> str:
    """Letters before other signs, `~` before everything, even the end (deb-version(7))."""
    return "".join("\x00" if c == "~" else c if c.isalpha() else chr(ord(c) + 256) for c in text)
