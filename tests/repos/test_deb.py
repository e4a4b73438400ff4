import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from kmodci.errors import IndexDamaged
from kmodci.model import Package
from kmodci.repos import deb
from kmodci.repos.packages import package_members
from kmodci.tarzst import Kind
from kmodci.unpack import Limits

DATA = Path(__file__).parent.parent / "data" / "headers"
REAL = DATA / "linux-kbuild-6.1_6.1.176-1_amd64.deb"


def package_of(content: bytes) -> Package:
    digest = hashlib.sha256(content).hexdigest()
    return Package(name="p", version="1", arch="all", url="http://x/p.deb", size=len(content), sha256=digest)


def deb_of(data: bytes, name: str = "data.tar") -> bytes:
    """As ar(5) and deb(5) say."""

    def member(name: str, content: bytes) -> bytes:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        return header + content + b"\n" * (len(content) % 2)

    return b"!<arch>\n" + member("debian-binary", b"2.0\n") + member("control.tar", b"") + member(name, data)


def test_a_real_package() -> None:
    content = REAL.read_bytes()
    found = {member.name: member for member in package_members(package_of(content), content, place=str)}
    assert found["usr/src/linux-kbuild-6.1"].kind is Kind.LINK
    script = found["usr/lib/linux-kbuild-6.1/scripts/pahole-version.sh"]
    assert script.executable
    assert script.data.startswith(b"#!/bin/sh")


@pytest.mark.parametrize("keep", [0, 100, -100, -1])
def test_a_truncated_package(keep: int) -> None:
    content = REAL.read_bytes()
    with pytest.raises(IndexDamaged, match="is not what the index names"):
        list(package_members(package_of(content), content[:keep], place=str))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no package",
        REAL.read_bytes()[:-500],
        deb_of(b"no tar at all" * 100),
        deb_of(b"", "other.tar"),
        deb_of(b"\xfd7zXZ\0no xz" * 100, "data.tar.xz"),
    ],
)
def test_what_an_index_names_rightly_and_is_no_package(content: bytes) -> None:
    with pytest.raises(IndexDamaged, match=r"not a Debian package|damaged archive|not a package of a format"):
        list(package_members(package_of(content), content, place=str))


@pytest.mark.parametrize(
    ("name", "kind", "link", "told"),
    [
        ("./usr/../../etc/cron.d/x", tarfile.REGTYPE, "", "could climb"),
        ("/etc/cron.d/x", tarfile.REGTYPE, "", "could climb"),
        ("./a", tarfile.LNKTYPE, "../../etc/passwd", "could climb"),
        ("./a", tarfile.SYMTYPE, "/etc/passwd/../../..", "link out of the tree"),
        ("./a", tarfile.CHRTYPE, "", "neither file, folder nor link"),
        ("./a", tarfile.BLKTYPE, "", "neither file, folder nor link"),
    ],
)
def test_what_could_do_harm_is_refused(name: str, kind: bytes, link: str, told: str) -> None:
    raw, info = io.BytesIO(), tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    with tarfile.open(fileobj=raw, mode="w") as tar:
        tar.addfile(info)
    content = deb_of(raw.getvalue())
    with pytest.raises(IndexDamaged, match=rf"p 1: member .* {told}"):
        list(package_members(package_of(content), content, place=str))


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress, zstandard.compress])
def test_a_bomb(pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb, "Limits", lambda: Limits(members=50, size=2 << 20))
    raw, info = io.BytesIO(), tarfile.TarInfo("./a")
    info.size = 16 << 20
    with tarfile.open(fileobj=raw, mode="w") as tar:
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    content = deb_of(pack(raw.getvalue()))
    assert len(content) < 100_000
    with pytest.raises(IndexDamaged, match="more than 50 members or 2 MiB unpacked"):
        list(package_members(package_of(content), content, place=str))
