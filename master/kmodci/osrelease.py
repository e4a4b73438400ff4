"""What a node says it runs, in our words: the ID and VERSION_ID of its os-release(5) are a distro and a series.

targets.yml calls a distribution by its ID, and its series as its makers call what they keep the kernels of together:
Debian's and Ubuntu's by codename, RHEL's and its kin's by the major version, CentOS Stream's `stream9`, the others' as
VERSION_ID has them. `scripts/kmod-get` knows as much of this as leads it to an object in the bucket; a test compares.
"""

import re
import shlex
from collections.abc import Callable, Mapping

from .distros import DISTROS
from .errors import NotFound
from .release import BadName, check_name

# debian.org/releases; wiki.ubuntu.com/Releases
_DEBIAN = {"10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky", "15": "duke"}
_UBUNTU = {
    "16.04": "xenial",
    "18.04": "bionic",
    "20.04": "focal",
    "22.04": "jammy",
    "24.04": "noble",
    "24.10": "oracular",
    "25.04": "plucky",
    "25.10": "questing",
    "26.04": "resolute",
}
NAMES = {"opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse"}
"""IDs that are not the distro's name"""
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST = 16 << 10


def place_of(os_release: str) -> tuple[str, str]:
    """The distro and series of a node, given its /etc/os-release. Raises NotFound for a distribution that is unknown.

    ID_LIKE is not asked: what is like RHEL has kernels of its own. BadName is raised for what no vendor writes there.
    """
    fields = parse(os_release)
    name = check_name(fields.get("ID", "linux"), "distribution")  # os-release(5): "linux" if it is not said
    distro = NAMES.get(name, name)
    if distro not in DISTROS:
        raise NotFound(f"no distribution {name!r} is known", hint=f"there are: {', '.join(sorted(DISTROS))}")
    if name == "opensuse-tumbleweed":
        # its VERSION_ID is the day of the snapshot
        return distro, "tumbleweed"
    # what is not released has no VERSION_ID: Debian's testing, and Arch
    text = fields.get("VERSION_ID") or fields.get("VERSION_CODENAME", "")
    return distro, series_of(distro, text.lower())


def series_of(distro: str, text: str) -> str:
    """The series that a distro's VERSION_ID means; a series means itself.

    Raises NotFound for a version that is not known where an index is by series, and BadName for what can be neither.
    """
    if not text and distro == "arch":
        return "rolling"
    if not text:
        raise NotFound(f"no version of {distro} was said", hint=_hint(distro))
    if "-" in check_name(text, "series or VERSION_ID"):
        raise BadName(f"not a series or VERSION_ID: {text[:80]!r}", hint=_hint(distro))
    if not _VERSION.fullmatch(text):
        return text
    series = _RULES.get(distro, _same)(text)
    if _VERSION.fullmatch(series) and distro == "ubuntu":
        raise NotFound(f"no version {text} of {distro} is known", hint=_hint(distro))
    return series


def parse(os_release: str) -> Mapping[str, str]:
    """The fields: each line is an assignment as a shell takes it, but nothing is expanded (os-release(5)).

    A line that is none, or whose quotes do not match, is passed over.
    """
    fields: dict[str, str] = {}
    for line in os_release[:_LONGEST].splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            try:
                words = shlex.split(value)
            except ValueError:
                continue
            if len(words) < 2:
                fields[name] = "".join(words)
    return fields


def _same(version: str) -> str:
    return version


def _major(version: str) -> str:
    return version.partition(".")[0]


def _debian(version: str) -> str:
    return _DEBIAN.get(_major(version), version)


def _ubuntu(version: str) -> str:
    return _UBUNTU.get(".".join(version.split(".")[:2]), version)


def _centos(version: str) -> str:
    major = _major(version)
    # before 8 there was no Stream
    return f"stream{major}" if int(major) >= 8 else major


def _opensuse(version: str) -> str:
    return "tumbleweed" if len(version) == 8 and version.isdigit() else version


def _arch(version: str) -> str:
    return "rolling"


_RULES: Mapping[str, Callable[[str], str]] = {
    "almalinux": _major,
    "arch": _arch,
    "centos": _centos,
    "debian": _debian,
    "fedora": _major,
    "ol": _major,
    "opensuse": _opensuse,
    "rhel": _major,
    "rocky": _major,
    "ubuntu": _ubuntu,
}


def _hint(distro: str) -> str:
    examples = {"debian": "bookworm or 12", "ubuntu": f"one of {', '.join(_UBUNTU)} or its codename"}
    return f"say {examples.get(distro, 'the series as targets.yml has it, or VERSION_ID of /etc/os-release')}"
