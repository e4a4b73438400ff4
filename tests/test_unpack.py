import bz2
import gzip
import io
import lzma
import posixpath
import tarfile

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st
from kmodci.errors import IndexDamaged
from kmodci.tarzst import Kind, Member
from kmodci.unpack import Limits, decompressed, limited, members


def tar_of(*infos: tarfile.TarInfo, data: bytes = b"") -> tarfile.TarFile:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info in infos:
            if info.isreg():
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    raw.seek(0)
    return tarfile.open(fileobj=raw, mode="r|")


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def unpacked(*infos: tarfile.TarInfo, place=lambda name: name, limits: Limits | None = None) -> list[Member]:
    return list(members(tar_of(*infos, data=b"data"), what="it", place=place, limits=limits))


def test_what_is_kept_and_renamed() -> None:
    found = unpacked(
        entry("./usr/src/x", tarfile.DIRTYPE),
        entry("./usr/src/x/run", mode=0o755),
        entry("./usr/src/x/link", tarfile.SYMTYPE, "../../lib/y/z"),
        entry("./usr/share/doc"),
        place=lambda name: name.removeprefix("usr/src/").removeprefix("usr/lib/") if "share" not in name else "",
    )
    assert found == [
        Member(name="x", kind=Kind.FOLDER),
        Member(name="x/run", data=b"data", executable=True),
        Member(name="x/link", kind=Kind.LINK, target="../y/z"),
    ]


def test_a_hard_link_becomes_a_copy() -> None:
    first, second = unpacked(entry("a", mode=0o755), entry("b", tarfile.LNKTYPE, "a"))
    assert (second.name, second.data, second.executable) == ("b", first.data, True)


@pytest.mark.parametrize(
    ("infos", "why"),
    [
        ([entry("/etc/passwd")], "climb"),
        ([entry("a/../../b")], "climb"),
        ([entry("a\nb")], "control characters"),
        ([entry("a", tarfile.SYMTYPE, "../b")], "link out of the tree"),
        ([entry("a", tarfile.SYMTYPE, "b\n")], "link out of the tree"),
        ([entry("a/b", tarfile.SYMTYPE, "../../../etc")], "link out of the tree"),
        ([entry("a", tarfile.SYMTYPE, "b"), entry("a/c")], "below a symbolic link"),
        ([entry("a/c"), entry("a", tarfile.SYMTYPE, "b")], "over it"),
        ([entry("a", tarfile.LNKTYPE, "../../etc/passwd")], "climb"),
        ([entry("a", tarfile.LNKTYPE, "b")], "not there"),
        ([entry("a", tarfile.CHRTYPE)], "neither file, folder nor link"),
        ([entry("a", tarfile.FIFOTYPE)], "neither file, folder nor link"),
    ],
)
def test_what_could_do_harm_is_refused(infos: list[tarfile.TarInfo], why: str) -> None:
    with pytest.raises(IndexDamaged, match=why):
        unpacked(*infos)


def test_too_many_members() -> None:
    with pytest.raises(IndexDamaged, match="more than 3 members"):
        unpacked(*(entry(f"f{number}") for number in range(4)), limits=Limits(members=3))


def test_too_many_bytes() -> None:
    with pytest.raises(IndexDamaged, match="MiB unpacked"):
        unpacked(entry("a"), entry("b"), limits=Limits(size=7))


def test_a_bomb_in_a_header_is_stopped_by_the_stream() -> None:
    info = entry("a")
    info.pax_headers = {"comment": "x" * (3 << 20)}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
    stream = limited(decompressed(gzip.compress(raw.getvalue())), 1 << 20, "it")
    with (
        pytest.raises(IndexDamaged, match="unpacks to more than 1 MiB"),
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        list(members(tar, what="it", place=str))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress, bytes])
def test_compression_is_told_by_content(pack) -> None:
    data = bytes(range(256)) * 999
    assert limited(decompressed(pack(data)), 1 << 20, "it").read() == data


names = st.text("ab./\\~%$ \n\0é-", min_size=1, max_size=30)


@example(name="a", link="//")
@given(names, names)
def test_nothing_escapes(name: str, link: str) -> None:
    """Whatever is let through stays inside, seen from where it lies."""
    try:
        found = unpacked(entry(name), entry(f"l/{name}", tarfile.SYMTYPE, link), entry(f"l/{link}"))
    except IndexDamaged:
        return
    for member in found:
        assert not member.name.startswith("/")
        assert ".." not in member.name.split("/")
        assert member.name.isprintable()
        if member.kind is Kind.LINK:
            goal = posixpath.normpath(posixpath.join("/root", posixpath.dirname(member.name), member.target))
            assert goal.startswith("/root/")
            climbs = [part == ".." for part in member.target.split("/")]
            assert climbs == sorted(climbs, reverse=True)
