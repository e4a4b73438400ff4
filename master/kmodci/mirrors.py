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

_FOLDER = Path("/usr/share/keyrings")
# Whose keys sign a distribution's archives: the package that has them, and what it calls them. Debian 13 has Debian's
# first, and the second as a link to it; Debian 12 has only the second, and no package of Ubuntu's.
_KEYRINGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "debian": ("debian-archive-keyring", ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg")),
    "ubuntu": ("ubuntu-keyring", ("ubuntu-archive-keyring.gpg",)),
}


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


def system_keyrings(distro: str) -> tuple[Path, ...]:
    """The keys of a distribution's archive on this machine, and of no other. Raises KmodciError if there are none."""
    if distro not in _KEYRINGS:
        raise KmodciError(f"no keys are known of {distro}'s archives", hint="name a `keyring:` in targets.yml")
    package, names = _KEYRINGS[distro]
    for keyring in (_FOLDER / name for name in names):
        if keyring.is_file():
            return (keyring,)
    raise KmodciError(
        f"the keys of {distro}'s archive are not on this machine ({_FOLDER / names[-1]})",
        hint=f"apt-get install {package}, or name that file of another machine as `keyring:` in targets.yml",
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
