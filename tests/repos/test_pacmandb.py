"""The databases of pacman repositories: parsed, and refused where they are what nobody should write."""

import gzip
import io
import subprocess
import tarfile

import pytest
import zstandard
from kmodci.errors import IndexDamaged
from kmodci.repos.base import Wanted
from kmodci.repos.pacmandb import read_database
from kmodci.repos.pacmanversion import vercmp

WANTED = Wanted(prefixes=("linux-headers", "linux-lts-headers"), arches=("amd64",))


def entry(**changes: str) -> str:
    fields = {
        "FILENAME": "linux-headers-6.12.7.arch1-1-x86_64.pkg.tar.zst",
        "NAME": "linux-headers",
        "BASE": "linux",
        "VERSION": "6.12.7.arch1-1",
        "CSIZE": "1234",
        "SHA256SUM": "ab" * 32,
        "ARCH": "x86_64",
        "DEPENDS": "pahole\nglibc>=2.38",
        **changes,
    }
    return "".join(f"%{name}%\n{value}\n\n" for name, value in fields.items() if value != "-")


def database(*entries: str, folder: str = "linux-headers-6.12.7.arch1-1") -> bytes:
    """As repo-add would write it, if it let one."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for text in entries:
            info = tarfile.TarInfo(f"{folder}/desc")
            info.size, info.mtime = len(text.encode()), 1700000000
            tar.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue())


def read(content: bytes) -> tuple[list[str], list[str]]:
    found = read_database(content, folder="http://x", wanted=WANTED)
    return [each.url for each in found.listed], list(found.problems)


def test_only_whole_names_are_asked_for() -> None:
    wanted = Wanted(names=frozenset({"linux-headers"}), arches=("amd64",))
    other = entry(NAME="linux-headers-extra")
    content = database(entry(), other)
    assert [each.name for each in read_database(content, folder="", wanted=wanted).listed] == ["linux-headers"]


def test_relations_of_dependencies() -> None:
    found = read_database(database(entry()), folder="", wanted=WANTED).listed[0]
    assert [str(one) for (one,) in found.depends] == ["pahole", "glibc (>= 2.38)"]


def test_a_package_without_a_checksum_is_listed_without() -> None:
    assert read_database(database(entry(SHA256SUM="-")), folder="", wanted=WANTED).listed[0].sha256 == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"FILENAME": "../../x.pkg.tar.zst"}, "not a %FILENAME%"),
        ({"FILENAME": "http://elsewhere/x.pkg.tar.zst"}, "not a %FILENAME%"),
        ({"FILENAME": "linux-headers.deb"}, "not a %FILENAME%"),
        ({"NAME": "../../x"}, "not a %NAME%"),
        ({"VERSION": "6.12-$(reboot)"}, "not a version"),
        ({"VERSION": "6.12\n6.13"}, "%VERSION% has 2 values"),
        ({"ARCH": "x86_64; reboot"}, "not a %ARCH%"),
        ({"SHA256SUM": "ab"}, "not a %SHA256SUM%"),
        ({"CSIZE": "-1"}, "not a size"),
        ({"CSIZE": "9" * 30}, "not a size"),
        ({"CSIZE": "-"}, "%CSIZE% has 0 values"),
        ({"FILENAME": "-"}, "%FILENAME% has 0 values"),
        ({"DEPENDS": "a `reboot`"}, "not a dependency"),
    ],
)
def test_an_odd_package_is_a_problem_and_takes_no_other_down(changes: dict[str, str], said: str) -> None:
    urls, problems = read(database(entry(**changes), entry()))
    assert urls == ["http://x/linux-headers-6.12.7.arch1-1-x86_64.pkg.tar.zst"]
    assert len(problems) == 1
    assert said in problems[0]


def test_an_entry_that_is_no_text() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("linux-headers-1/desc")
        info.size = 2
        tar.addfile(info, io.BytesIO(b"\xff\xfe"))
    assert "not UTF-8" in read(raw.getvalue())[1][0]


def test_an_entry_without_an_end() -> None:
    assert "its entry has" in read(database(entry(DESC="x" * (1 << 20))))[1][0]


def test_a_bomb() -> None:
    packed = zstandard.ZstdCompressor(level=1)
    bomb = packed.compress(bytes(1 << 28)) + packed.compress(bytes(1 << 20))
    # a tar of one file that is never read, but passed over
    info = tarfile.TarInfo("other-1/desc")
    info.size = (1 << 28) + (1 << 20)
    with pytest.raises(IndexDamaged, match="unpacks to more than 256 MiB"):
        read(packed.compress(info.tobuf()) + bomb)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><html><body>Maintenance</body></html>" * 40,
        gzip.compress(b"<html>" * 400),
        database(entry())[:-40],
        database(entry(), folder="a/b").replace(b"\x1f\x8b", b"\x1f\x8c", 1),
    ],
    ids=["empty", "html", "packed html", "cut off", "no gzip"],
)
def test_something_else(content: bytes) -> None:
    with pytest.raises(IndexDamaged, match="not a pacman database"):
        read(content)


def test_a_tar_of_something_else() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("README")
        info.mtime = 1700000000
        tar.addfile(info)
    with pytest.raises(IndexDamaged, match="no package has a `desc`"):
        read(raw.getvalue())


@pytest.mark.slow
def test_versions_are_ordered_as_pacman_orders_them() -> None:
    versions = """
        6.12.7.arch1-1 6.12.7.arch1-2 6.12.7.arch2-1 6.12.10.arch1-1 6.12.arch1-1 6.12.1.arch1-1
        6.12-1 6.12.1-1 6.12.1-1.1 6.12.1-2 1:6.1-1 0:6.12.7-1 6.12.7.zen1-1 6.12rc1-1 6.12.rc1-1 6.012-1
        6.12. 6.12_1 6..12 6.12a 6.12.a
        6.12- 6.12-a ~6.12 :6.12 6.12:1 a 1
    """
    for version in versions.split():
        for other in versions.split():
            said = subprocess.run(["vercmp", version, other], capture_output=True, check=True, text=True).stdout
            order = vercmp(version, other)
            assert ((order > 0) - (order < 0), version, other) == (int(said), version, other)
