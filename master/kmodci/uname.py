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
    """Reads `uname -r`, `uname -srm`, `uname -a`, and what a shell says before it.

    `uname -a` prints system, node, release, version, machine and operating system (uname(1), POSIX), of which the
    version begins with a `#` and has spaces in it: the release is the last word before that which looks like one. (The
    node may, and so may words of the version and what the processor is called.) Raises BadName.
    """
    words = text[:_LONGEST].split()
    version = next((number for number, word in enumerate(words) if _UPLOAD.match(word)), len(words))
    before = words[:version]
    if len(text) > _LONGEST or not before:
        raise BadName("no kernel release in that", hint="paste what `uname -r` or `uname -a` prints")
    release = next((word for word in reversed(before) if _is_release(word)), before[-1])
    upload = next((found[1] for word in words[version:] if (found := _UPLOAD.match(word))), "")
    arch = next((arch for word in reversed(words) if (arch := _arch(word))), "")
    return Uname(release=check_release(release), arch=arch, upload=upload)


def _is_release(word: str) -> bool:
    try:
        check_release(word)
    except BadName:
        return False
    return bool(re.match(r"[0-9]+\.[0-9]", word))


def _arch(word: str) -> str:
    return _ARCHES.get(word, word if word in MACHINES else "")
