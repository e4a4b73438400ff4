"""pacman's packages: unpacked as makepkg makes them."""

import hashlib
import io
import lzma
import subprocess
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard
from benchmarks.aptrepo import Key, archive_key
from kmodci.errors import IndexDamaged
from kmodci.model import Package
from kmodci.repos.base import Signed, Trust
from kmodci.repos.packages import check_package, package_members
from support.pacmanrepo import headers_package

REAL = Path(__file__).parent.parent / "data" / "pacman" / "linux-headers-6.12.7.arch1-1-x86_64.pkg.tar.zst"
BUILD = "usr/lib/modules/6.12.7-arch1-1/build"
PKGINFO = "pkgname = linux-headers\npkgver = 6.12.7.arch1-1\n"


def unpacked(content: bytes, place: Callable[[str], str] = str) -> dict[str, bytes]:
    digest = hashlib.sha256(content).hexdigest()
    package = Package(
        name="linux-headers", version="6.12.7.arch1-1", arch="amd64", url="http://x", size=0, sha256=digest
    )
    return {member.name: member.data for member in package_members(package, content, place=place)}


def tar(*members: tuple[str, str]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as made:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content.encode()))
    return raw.getvalue()


def packed(*members: tuple[str, str]) -> bytes:
    return zstandard.ZstdCompressor().compress(tar(*members))


def test_a_real_package() -> None:
    found = unpacked(REAL.read_bytes())
    assert found[f"{BUILD}/.config"] == b"hi\n"
    assert {name.partition("/")[0] for name in found} == {"usr"}


@pytest.mark.parametrize("suffix", [".zst", ".xz"])
def test_only_what_has_a_place_is_unpacked(tmp_path: Path, suffix: str) -> None:
    package = headers_package(tmp_path, "linux-headers", "6.12.7.arch1-1", "6.12.7-arch1-1", suffix=suffix)
    found = unpacked(package.read_bytes(), lambda name: name.rpartition("build/")[2] if "build/" in name else "")
    files = {name: data for name, data in found.items() if data}
    assert files.keys() == {".config", "Module.symvers", "Makefile", "include/generated/utsrelease.h"}


def test_compressed_as_arch_does(tmp_path: Path) -> None:
    """makepkg.conf of Arch's builders: a window of 128 MiB, the largest that decompressors take unasked."""
    plain = tmp_path / "plain"
    plain.write_bytes(tar((".PKGINFO", PKGINFO), ("usr/file", "x" * 4096)))
    done = subprocess.run(["zstd", "-c", "--ultra", "-20", str(plain)], capture_output=True, check=True)
    assert unpacked(done.stdout)["usr/file"] == b"x" * 4096


@pytest.mark.parametrize(
    "info",
    [
        "pkgname = linux-headers\npkgver = 6.12.6.arch1-1\n",
        "pkgname = linux-lts-headers\npkgver = 6.12.7.arch1-1\n",
        "",
        "pkgname linux-headers",
    ],
)
def test_another_package_under_this_name(info: str) -> None:
    with pytest.raises(IndexDamaged, match=r"linux-headers 6\.12\.7\.arch1-1: the package says that it is"):
        unpacked(packed((".PKGINFO", info), ("usr/file", "")))


@pytest.mark.parametrize(
    "content",
    [
        packed(("usr/file", "x"), (".PKGINFO", PKGINFO)),
        packed(),
        zstandard.ZstdCompressor().compress(b"no tar at all" * 100),
        lzma.compress(b""),
        packed((".PKGINFO", PKGINFO), ("usr/file", "x" * 9999))[:-20],
        b"\xfd7zXZ\0 and nothing more of it",
    ],
    ids=["no .PKGINFO first", "empty", "no tar", "nothing", "cut off", "no xz"],
)
def test_what_is_no_package(content: bytes) -> None:
    with pytest.raises(IndexDamaged, match=r"not a pacman package|damaged archive"):
        unpacked(content)


def test_a_member_that_climbs() -> None:
    with pytest.raises(IndexDamaged, match="could climb"):
        unpacked(packed((".PKGINFO", PKGINFO), ("usr/../../etc/cron.d/x", "")))


def test_another_checksum() -> None:
    content = REAL.read_bytes()
    package = Package(name="linux-headers", version="1", arch="amd64", url="http://x", size=9, sha256="0" * 64)
    with pytest.raises(IndexDamaged, match="not what the index names"):
        package_members(package, content, place=str)


@pytest.fixture(scope="module")
def signature() -> bytes:
    return archive_key().sign_detached(REAL.read_bytes(), "--no-armor")


class TestSignature:
    """Arch signs packages, each in a file beside it."""

    def check(self, content: bytes, signature: bytes, *, name: str = "linux-headers", key: Key | None = None) -> None:
        package = Package(name=name, version="6.12.7.arch1-1", arch="amd64", url="http://x", size=0, sha256="")
        trust = Trust(signed=Signed.PACKAGES, keyrings=((key or archive_key()).keyring,))
        check_package(package, content, trust, {".sig": signature}.__getitem__)

    def test_a_good_one(self, signature: bytes) -> None:
        self.check(REAL.read_bytes(), signature)

    def test_a_package_that_was_changed(self, signature: bytes) -> None:
        with pytest.raises(IndexDamaged, match=r"linux-headers 6\.12.* changed after it was signed"):
            self.check(REAL.read_bytes() + b"\0", signature)

    def test_another_key(self, signature: bytes) -> None:
        other = Key()
        with pytest.raises(IndexDamaged, match="none of the keyrings"):
            self.check(REAL.read_bytes(), signature, key=other)

    def test_no_signature(self) -> None:
        with pytest.raises(IndexDamaged, match="linux-headers"):
            self.check(REAL.read_bytes(), b"<html>not found</html>")

    def test_another_package_of_the_same_vendor(self, signature: bytes) -> None:
        with pytest.raises(IndexDamaged, match="the package says that it is 'linux-headers 6"):
            self.check(REAL.read_bytes(), signature, name="linux-lts-headers")

    def test_a_key_that_has_expired(self) -> None:
        """Packages of the archive outlive the keys of those who made them: the keyring has to be renewed."""
        old = Key(lived=(datetime.now(UTC) - timedelta(days=10), timedelta(days=5)))
        with pytest.raises(IndexDamaged, match="the signing key has expired"):
            self.check(REAL.read_bytes(), old.sign_detached(REAL.read_bytes(), "--no-armor"), key=old)

    def test_a_format_without_signatures(self) -> None:
        with pytest.raises(IndexDamaged, match="a format that has no signatures"):
            self.check(b"!<arch>\n", b"")
