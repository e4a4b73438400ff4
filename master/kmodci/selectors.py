"""Selectors: shell patterns over build ids (`scap/debian-bullseye-*/5.10*`), or over kernels where the module
is implied (`debian-bullseye-*/5.10*`).

`*` stands for anything, a `/` included, so `*` alone is everything.
"""

import fnmatch
import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from .release import BadName

_CHARACTERS = re.compile(r"[A-Za-z0-9.+~_*?\[\]!/-]{1,200}")


def check_selector(text: str, *, parts: int) -> str:
    """The selector, unchanged. parts: 3 for build ids, 2 for kernels. Raises BadName."""
    example = "v4l2loopback/debian-bookworm-*/6.1.*" if parts == 3 else "debian-bookworm-*/6.1.*"
    if not _CHARACTERS.fullmatch(text):
        raise BadName(f"not a selector: {text[:80]!r}", hint=f"a pattern like {example}")
    missing = parts - 1 - text.count("/")
    if missing < 0 or (missing and "*" not in text):
        hint = f"it is compared with all of {example}; `*` stands for anything"
        raise BadName(f"selects nothing: {text!r}", hint=hint)
    return text


def matches(subject: str, selectors: Iterable[str]) -> bool:
    """Whether any selector takes the subject, a build id or a kernel."""
    return any(_compiled(selector).match(subject) for selector in selectors)


def matching_none(selector: str, known: Collection[str], *, part: int, parts: int) -> bool:
    """Whether one part of a selector can take none of the known names: a slip of the pen, most likely."""
    pieces = selector.split("/")
    return len(pieces) == parts and not any(matches(name, [pieces[part]]) for name in known)


@lru_cache(maxsize=4096)
def _compiled(selector: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(selector))
