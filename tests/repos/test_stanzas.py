from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from kmodci.errors import IndexDamaged
from kmodci.release import BadName
from kmodci.repos.base import Dependency
from kmodci.repos.stanzas import IndexFile, parse_release, scan_packages
from support.debian import DATA, packages

RELEASE = (DATA / "bookworm-security.InRelease").read_text().partition("\n\n")[2].partition("-----BEGIN")[0]
MIRROR = "http://mirror.example.org/debian/"
SHA256 = "0123456789abcdef" * 4
STANZA = f"""\
Package: linux-headers-6.1.0-99-amd64
Source: linux (6.1.199-1)
Version: 6.1.199-1+b1
Architecture: amd64
Depends: linux-kbuild-6.1:any (>= 6.1.199-1), gcc-12 | gcc-13
Filename: pool/main/l/linux/linux-headers.deb
Size: 1000
SHA256: {SHA256}
"""


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def test_a_real_release() -> None:
    release = parse_release(RELEASE)
    assert replace(release, files={}) == replace(
        release,
        date=datetime(2026, 11, 21, 0, 53, 2, tzinfo=UTC),
        valid_until=datetime(2026, 11, 28, 0, 53, 2, tzinfo=UTC),
        suite="oldstable-security",
        codename="bookworm-security",
        by_hash=True,
        files={},
    )
    assert release.files["main/binary-amd64/Packages.xz"] == IndexFile(
        size=378100, sha256="8575ec1f224d635ce30646a2a1388bee267a7f37fae3f997687643c9ebb8fb43"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Date:", "Dote:", "no field Date"),
        ("SHA256:", "SHA1:", "no field SHA256"),
        ("Date: Sat, 21 Nov", "Date: Sat, 21 Brumaire", "not a date"),
        (" 378100 main", " -1 main", "not a size"),
        (" 378100 main", " main", "not a line of"),
        ("8575ec1f224d", "../../etc/pa", "not a SHA256"),
    ],
)
def test_a_strange_release(old: str, new: str, said: str) -> None:
    assert old in RELEASE
    with pytest.raises((IndexDamaged, BadName), match=said):
        parse_release(RELEASE.replace(old, new))


def test_a_stanza() -> None:
    (stanza,) = scan_packages([STANZA.encode()], mirror=MIRROR, prefixes=["linux-headers-"]).listed
    assert (stanza.version, stanza.source, stanza.source_version) == ("6.1.199-1+b1", "linux", "6.1.199-1")
    assert stanza.depends == (
        (Dependency(name="linux-kbuild-6.1", relation=">=", version="6.1.199-1"),),
        (Dependency(name="gcc-12"), Dependency(name="gcc-13")),
    )
    package = stanza.package()
    assert package.url == "http://mirror.example.org/debian/pool/main/l/linux/linux-headers.deb"
    assert (package.size, package.sha256) == (1000, SHA256)


@pytest.mark.parametrize("size", [1, 97, 4096, 1 << 30])
def test_it_does_not_matter_how_the_index_is_cut(size: int) -> None:
    data = packages("bookworm-backports", "arm64")
    scan = scan_packages(cut(data, size), mirror=MIRROR, prefixes=["linux-headers-", "linux-kbuild-"])
    assert len(scan.listed) == data.count(b"Package: ")
    assert scan.problems == ()


def test_only_what_is_wanted() -> None:
    data = packages("sid", "amd64")
    named = scan_packages([data], mirror=MIRROR, names=["v4l2loopback-dkms", "v4l2"]).listed
    assert [package.name for package in named] == ["v4l2loopback-dkms"]
    begun = scan_packages([data], mirror=MIRROR, prefixes=["linux-kb"]).listed
    assert [package.name for package in begun] == ["linux-kbuild-7.2.13+deb14"]


def test_package_need_not_come_first() -> None:
    lines = STANZA.splitlines(keepends=True)
    index = STANZA.replace("-99-", "-98-") + "\n" + "".join([*lines[1:], lines[0]])
    scan = scan_packages([index.encode()], mirror=MIRROR, prefixes=["linux-headers-"])
    assert [one.name for one in scan.listed] == ["linux-headers-6.1.0-98-amd64", "linux-headers-6.1.0-99-amd64"]


def test_a_description_is_not_a_package() -> None:
    index = STANZA + "Description: it\n Package: linux-headers-evil\n"
    assert len(scan_packages([index.encode()], mirror=MIRROR, prefixes=["linux-headers-"]).listed) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("6.1.0-99-amd64", "6.1.0/../99-amd64"),
        ("6.1.0-99-amd64", "6.1..0-99-amd64"),
        ("6.1.0-99-amd64", "6.1.0 99-amd64"),
        ("6.1.0-99-amd64", "$(id)-amd64"),
        ("6.1.0-99-amd64", "6.1.0\n 99-amd64"),
        ("6.1.0-99-amd64", "6.1.0\r99-amd64"),
        ("6.1.0-99-amd64", "6.1.0-\x00-amd64"),
        ("Version: 6.1.199-1+b1", "Version: 6.1;reboot"),
        ("Architecture: amd64", "Architecture: ../amd64"),
        ("pool/main", "/etc"),
        ("pool/main", "pool/../.."),
        ("pool/main", "pool/a b"),
        ("Size: 1000", "Size: many"),
        ("Size: 1000", "Size: " + "9" * 5000),
        (SHA256, SHA256[:-1]),
        (SHA256, SHA256.upper()),
        ("gcc-12 |", "gcc-12 (evil) |"),
        ("Filename:", "Other:"),
    ],
)
def test_a_hostile_stanza_is_reported_and_hurts_no_other(old: str, new: str) -> None:
    assert old in STANZA
    index = STANZA.replace(old, new) + "\n" + STANZA.replace("-99-", "-98-")
    scan = scan_packages([index.encode()], mirror=MIRROR, prefixes=["linux-headers-"])
    assert [one.name for one in scan.listed] == ["linux-headers-6.1.0-98-amd64"]
    (problem,) = scan.problems
    assert "linux-headers-" in problem
    assert problem.isprintable()


def test_bytes_that_are_no_text() -> None:
    index = STANZA.encode().replace(b"gcc-13", b"gcc-\xff")
    assert len(scan_packages([index], mirror=MIRROR, prefixes=["linux-headers-"]).problems) == 1


def test_what_is_no_index_ends_early() -> None:
    endless = (b"x" * 65536 for _ in iter(int, 1))
    with pytest.raises(IndexDamaged, match="not a Packages file"):
        scan_packages(endless, mirror=MIRROR, prefixes=["linux-headers-"])
