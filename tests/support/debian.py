"""Debian's indices as recorded in tests/data/debian."""

import lzma
from pathlib import Path

from kmodci.repos.base import Listed
from kmodci.repos.stanzas import scan_packages

DATA = Path(__file__).parent.parent / "data" / "debian"
MIRROR = "http://mirror.example.org/debian"
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


def stanzas(suite: str, *arches: str) -> list[Listed]:
    prefixes = ("linux-headers-", "linux-kbuild-")
    scans = (scan_packages([packages(suite, arch)], mirror=MIRROR, prefixes=prefixes) for arch in arches)
    return [one for scan in scans for one in scan.listed]
