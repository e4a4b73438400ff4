"""What a person pastes to say which kernel is meant: `uname -r`, or all of `uname -a`."""

import re
from dataclasses import dataclass

from .release import BadName, check_release
from .repos.base import MACHINES

_ARCHES = {machine: arch for arch, machine in MACHINES.items()}
_LONGEST = 1000
_UPLOAD = re.compile(r"#([0-9][0-9A-Za-z.~+-]{0,40})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uname:
    """A kernel as it names itself."""

    release: str
    arch: str = ""
    """in our words (`amd64`); empty if nothing said it"""
    upload: str = ""
    """what `uname -v` begins with, without its `#`: Ubuntu's number of the upload; empty if nothing said it"""


def parse(text: str) -> Uname:
    """Reads `uname -r`, `uname -rm`, `uname -a`, or `target/release`'s last part.

    `uname -a` prints system, node, release, version, machine and operating system (uname(1), POSIX), of which the
    version has spaces in it: the release is the first word after the node that looks like one, or else the first.
    Raises BadName.
    """
    words = text[:_LONGEST].split()
    if len(text) > _LONGEST or not words:
        raise BadName("no kernel release in that", hint="paste what `uname -r` or `uname -a` prints")
    # the node may be called like a release
    rest = words[2:] if words[0] == "Linux" and len(words) > 2 else words
    release = next((word for word in rest if _is_release(word)), rest[0])
    upload = next((found[1] for word in rest if (found := _UPLOAD.match(word))), "")
    arch = next((arch for word in reversed(rest) if (arch := _arch(word))), "")
    return Uname(release=check_release(release), arch=arch, upload=upload)


def _is_release(word: str) -> bool:
    try:
        check_release(word)
    except BadName:
        return False
    return bool(re.match(r"[0-9]+\.[0-9]", word))


def _arch(word: str) -> str:
    return _ARCHES.get(word, word if word in MACHINES else "")
