"""Debian's indices as recorded in tests/data/debian."""

import lzma
from pathlib import Path

from kmodci.repos.apt import Stanza, scan_packages

DATA = Path(__file__).parent.parent / "data" / "debian"
SUITES = {
    "bullseye": "bullseye",
    "bullseye-security": "bullseye",
    "bookworm": "bookworm",
    "bookworm-security": "bookworm",
    "bookworm-backports": "bookworm",
    "trixie": "trixie",
    "trixie-security": "trixie",
    "trixie-backports": "trixie",
    "forky": "forky",
    "sid": "sid",
    "experimental": "sid",
}
"""suite -> series"""


def packages(suite: str, arch: str) -> bytes:
    return lzma.decompress((DATA / f"{suite}.{arch}.Packages.xz").read_bytes())


def stanzas(suite: str, *arches: str) -> list[Stanza]:
    prefixes = ("linux-headers-", "linux-kbuild-")
    return [one for arch in arches for one in scan_packages([packages(suite, arch)], prefixes=prefixes).stanzas]
