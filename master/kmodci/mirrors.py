"""The machine's own apt: which mirror and which keys it trusts. No mirror's name is built in."""

import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from .errors import KmodciError

_SECONDS = 60
_HINT = "run `apt-get update`, or name the mirrors as `mirrors:` in targets.yml"

# What the archives call themselves (the field Label of their Release), and what targets.yml calls them.
_LABELS = {"Debian": "debian", "Debian-Security": "debian-security"}

# Debian 13 has the first, and the second as a link to it; Debian 12 has only the second.
_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
)


@cache
def system_mirrors() -> Mapping[str, str]:
    """The base URLs that apt on this machine reads Debian from: `debian`, `debian-security`, or either.

    As apt itself tells (`apt-get indextargets`), which knows an archive's label only once it has read
    its release file. Asked once per process, because asking costs 0.4 s of CPU. Raises KmodciError if it
    names none.
    """
    mirrors: dict[str, str] = {}
    for line in _indextargets().splitlines():
        label, _, url = line.partition("\t")
        name = _LABELS.get(label)
        if name and url.startswith(("http://", "https://")):
            mirrors.setdefault(name, url.rstrip("/"))
    if not mirrors:
        raise KmodciError("apt on this machine names no Debian mirror", hint=_HINT)
    return MappingProxyType(mirrors)


def system_keyrings() -> tuple[Path, ...]:
    """The keys of the Debian archive on this machine. Raises KmodciError if there are none."""
    for keyring in _KEYRINGS:
        if keyring.is_file():
            return (keyring,)
    raise KmodciError(
        "the keys of the Debian archive are not on this machine",
        hint="apt-get install debian-archive-keyring, or name a `keyring:` in targets.yml",
    )


def _indextargets() -> str:
    command = ["apt-get", "indextargets", "--format", "$(LABEL)\t$(REPO_URI)", "Created-By: Packages"]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment)
    except FileNotFoundError as fault:
        raise KmodciError(
            "there is no apt on this machine", hint="name the mirrors as `mirrors:` in targets.yml"
        ) from fault
    except subprocess.TimeoutExpired as fault:
        raise KmodciError(f"`apt-get indextargets` did not end within {_SECONDS} seconds", hint=_HINT) from fault
    if done.returncode:
        raise KmodciError(f"`apt-get indextargets` failed: {done.stderr.strip()[-300:]}", hint=_HINT)
    return done.stdout
