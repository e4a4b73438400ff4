"""Debian's indices as recorded in tests/data/debian."""

import hashlib
import lzma
from pathlib import Path

from benchmarks.aptrepo import Key
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


def publish(root: Path, key: Key, *, without: str = "") -> None:
    """Writes all suites as a mirror has them, signed, below a folder. without: packages whose names begin so."""
    for suite in SUITES:
        files = {}
        for path in sorted(DATA.glob(f"{suite}.*.Packages.xz")):
            arch, data = path.name.split(".")[1], path.read_bytes()
            if without:
                stanzas = lzma.decompress(data).decode().split("\n\n")
                kept = [each for each in stanzas if not each.startswith(f"Package: {without}")]
                data = lzma.compress("\n\n".join(kept).encode())
            name = f"main/binary-{arch}/Packages.xz"
            place = root / "dists" / suite / name
            place.parent.mkdir(parents=True)
            place.write_bytes(data)
            files[name] = f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n"
        head = f"Suite: {suite}\nCodename: {suite}\nDate: Mon, 23 Nov 2026 12:00:00 UTC\nSHA256:\n"
        (root / "dists" / suite / "InRelease").write_bytes(key.sign(head + "".join(files.values())))
