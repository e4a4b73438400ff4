import hashlib
import struct
from pathlib import Path

import pytest
from benchmarks.aptrepo import Key, archive_key
from benchmarks.rpmrepo import PAYLOADS, make_kernel_rpm, make_rpm, sign_rpm
from hypothesis import given
from hypothesis import strategies as st
from kmodci.errors import IndexDamaged
from kmodci.model import Package
from kmodci.repos import rpmfile
from kmodci.repos.base import Signed, Trust
from kmodci.repos.packages import check_package, package_members
from kmodci.tarzst import Kind, Member
from kmodci.unpack import Limits
from support.rpmfiles import DEVICE, LINK, Put, cpio_of, header_of, packed, rpm_of

USR = "usr/src/kernels/5.14.0-503.el9.x86_64"


def package_of(content: bytes, name: str = "p", version: str = "1-1", arch: str = "amd64") -> Package:
    digest = hashlib.sha256(content).hexdigest()
    return Package(name=name, version=version, arch=arch, url="http://x/p.rpm", size=len(content), sha256=digest)


def unpacked(content: bytes, place=str) -> list[Member]:
    return list(package_members(package_of(content), content, place=place))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_real_package(tmp_path: Path, payload: str) -> None:
    tree = tmp_path / "tree"
    (tree / USR / "scripts").mkdir(parents=True)
    (tree / USR / "scripts/sign").write_bytes(b"#!/bin/sh\n" * 999)
    (tree / USR / "scripts/sign").chmod(0o755)
    (tree / USR / "scripts/again").hardlink_to(tree / USR / "scripts/sign")
    (tree / USR / "Makefile").symlink_to("scripts/sign")
    rpm = make_rpm(tmp_path, "kernel-devel", "5.14.0", "503.el9", tree=tree, payload=payload)
    found = {member.name.removeprefix(f"{USR}/"): member for member in unpacked(rpm.read_bytes())}
    assert found["scripts"].kind is Kind.FOLDER
    assert found["Makefile"].target == "scripts/sign"
    for name in ("scripts/sign", "scripts/again"):
        assert (found[name].executable, found[name].data) == (True, b"#!/bin/sh\n" * 999)


def test_only_what_has_a_place() -> None:
    content = rpm_of(packed(Put("./etc/x"), Put("./usr/src/a", data=b"1")))
    found = unpacked(content, lambda name: name.removeprefix("usr/src/") if name.startswith("usr/src/") else "")
    assert found == [Member(name="a", data=b"1")]


def test_hard_links_have_their_content_last_or_first_or_none() -> None:
    linked = [Put("a", inode=7, links=3), Put("b", inode=7, links=3), Put("c", inode=7, links=3, data=b"1")]
    other = [Put("d", inode=8, links=2, data=b"2"), Put("e", inode=8, links=2), Put("f", inode=9, links=2)]
    found = {member.name: member.data for member in unpacked(rpm_of(packed(*linked, *other)))}
    assert found == {"a": b"1", "b": b"1", "c": b"1", "d": b"2", "e": b"2", "f": b""}


@pytest.mark.parametrize(
    ("put", "told"),
    [
        (Put("/etc/passwd"), "could climb"),
        (Put("./usr/../../etc/passwd"), "could climb"),
        (Put("a\nb"), "control characters"),
        (Put("a\udcff"), "control characters"),
        (Put("a", DEVICE), "neither file, folder nor link"),
        (Put("a", 0o010644), "neither file, folder nor link"),
        (Put("a", LINK, b"../../etc"), "link out of the tree"),
        (Put("a", LINK, b"b\0c"), "link out of the tree"),
    ],
)
def test_what_could_do_harm_is_refused(put: Put, told: str) -> None:
    with pytest.raises(IndexDamaged, match=rf"^p 1-1: member .*{told}"):
        unpacked(rpm_of(packed(Put("ok"), put)))


def test_a_file_below_a_symbolic_link() -> None:
    with pytest.raises(IndexDamaged, match="below a symbolic link"):
        unpacked(rpm_of(packed(Put("a", LINK, b"b"), Put("a/c"))))


def test_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpmfile, "Limits", lambda: Limits(members=50, size=2 << 20))
    one = bytes(1 << 20)
    linked = [Put(f"f{number}", inode=5, links=9, data=one if number == 2 else b"") for number in range(3)]
    with pytest.raises(IndexDamaged, match="more than 50 members or 2 MiB unpacked"):
        unpacked(rpm_of(packed(*linked)))
    with pytest.raises(IndexDamaged, match="its cpio archive: unpacks to more than 2 MiB"):
        unpacked(rpm_of(packed(Put("a", data=one), Put("b", data=one))), lambda name: "")
    with pytest.raises(IndexDamaged, match="a member with a name of 2 and a content of 3145728 bytes"):
        unpacked(rpm_of(packed(Put("a", data=3 * one))))
    with pytest.raises(IndexDamaged, match="more than 50 members"):
        unpacked(rpm_of(packed(*(Put(f"f{number}") for number in range(51)))))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"no cpio",
        b"\x1f\x8bno gzip" * 100,
        b"\xfd7zXZ\0no xz" * 100,
        b"\x28\xb5\x2f\xfdno zstd" * 100,
        cpio_of(Put("a", data=b"1" * 100), end=False),
        cpio_of(Put("a", data=b"1" * 100))[:150],
        cpio_of(Put("a")).replace(b"070701", b"070707"),
        cpio_of(Put("a")).replace(b"070701", b"07070X"),
        cpio_of(Put("a")).replace(b"00000000", b"0000_000", 1),
        cpio_of(Put("a")).replace(b"00000002", b"ffffffff", 1),
        cpio_of(Put("a", data=b"x" * 0x2F)).replace(b"0000002f", b"ffffffff", 1),
    ],
)
def test_what_is_no_payload(payload: bytes) -> None:
    with pytest.raises(IndexDamaged, match=r"^p 1-1: "):
        unpacked(rpm_of(payload))


WHOLE = rpm_of(packed(Put("a", data=b"1")))


@pytest.mark.parametrize(
    "content",
    [
        WHOLE[:4],
        WHOLE[:100],
        WHOLE[:150],
        WHOLE[:-40],
        WHOLE[:96] + header_of({})[:8] + struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF) + WHOLE[112:],
        WHOLE[:96] + header_of({}) + header_of([(1124, "cpio"), (1124, "ustar")]),
        WHOLE[:96] + header_of({}) + header_of({1124: "ustar"}),
        WHOLE[:96] + header_of({}) + header_of({1124: 7}),
        WHOLE[:96] + header_of({}) + header_of({1124: "cpio"})[:-1] + b"x",
    ],
)
def test_what_is_no_package(content: bytes) -> None:
    with pytest.raises(IndexDamaged, match=r"^p 1-1: "):
        unpacked(content)


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=8))
def test_whatever_is_changed_nothing_but_a_refusal_comes_of_it(at: int, put: bytes) -> None:
    for content in (WHOLE[:at] + put + WHOLE[at + len(put) :], WHOLE[:at] + put):
        for act in (unpacked, lambda each: check(each, KEY)):
            try:
                act(content)
            except IndexDamaged:
                continue
            assert act is unpacked


# signatures

KEY = archive_key()
STRANGER = Key()


def check(content: bytes, key: Key = KEY, **more: str) -> None:
    check_package(package_of(content, **more), content, Trust(signed=Signed.PACKAGES, keyrings=(key.armoured,)))


@pytest.mark.parametrize("options", [(), ("--rpmv3",)])
@pytest.mark.parametrize("algorithm", ["ed25519", "rsa2048"])
def test_a_package_that_rpmsign_signed(tmp_path: Path, algorithm: str, options: tuple[str, ...]) -> None:
    key = Key(algorithm=algorithm)
    rpm = sign_rpm(make_kernel_rpm(tmp_path, "5.14.0", "503.el9"), key, *options)
    content = rpm.read_bytes()
    check(content, key, name="kernel-devel", version="5.14.0-503.el9")
    with pytest.raises(IndexDamaged, match=r"^kernel-devel 5\.14\.0-503\.el9: signed with a key that is in none"):
        check(content, STRANGER, name="kernel-devel", version="5.14.0-503.el9")
    with pytest.raises(IndexDamaged, match="its files are not those that were signed for"):
        check(content[:-1] + b"x", key, name="kernel-devel", version="5.14.0-503.el9")
    changed = content.replace(b"made for a test", b"made for a tesT")
    with pytest.raises(IndexDamaged, match="changed after it was signed"):
        check(changed, key, name="kernel-devel", version="5.14.0-503.el9")


def test_a_package_that_nobody_signed(tmp_path: Path) -> None:
    content = make_kernel_rpm(tmp_path, "5.14.0", "503.el9").read_bytes()
    with pytest.raises(IndexDamaged, match="the package is not signed"):
        check(content, name="kernel-devel", version="5.14.0-503.el9")


@pytest.mark.parametrize("signature", ["dsa", "gpg", "openpgp"])
def test_every_kind_of_signature(signature: str) -> None:
    content = rpm_of(packed(Put("a")), key=KEY, signature=signature)
    check(content)
    with pytest.raises(IndexDamaged):
        check(content[:-1] + b"x")


def test_a_signature_as_before_rpm_4_14() -> None:
    """Over header and files as one; one over the header alone would say nothing of the files."""
    check(rpm_of(packed(Put("a")), key=KEY, signature="gpg", digest=False))
    with pytest.raises(IndexDamaged, match="the package is not signed"):
        check(rpm_of(packed(Put("a")), key=KEY, signature="dsa", digest=False))


def test_a_digest_that_can_be_forged() -> None:
    payload = packed(Put("a"))
    weak = {5092: [hashlib.md5(payload).hexdigest()], 5093: 1}
    with pytest.raises(IndexDamaged, match="the package is not signed"):
        check(rpm_of(payload, key=KEY, signature="dsa", digest=False, tags=weak))


@pytest.mark.parametrize("odd", [{"name": "other"}, {"version": "1-2"}, {"version": "1:1-1"}, {"arch": "arm64"}])
def test_a_good_package_under_anothers_name(odd: dict[str, str]) -> None:
    """A mirror could serve an old one with a hole in it."""
    content = rpm_of(packed(Put("a")), key=KEY, signature="dsa")
    with pytest.raises(IndexDamaged, match="the file is another package: p 1-1 amd64"):
        check(content, **odd)


def test_a_package_of_another_format() -> None:
    with pytest.raises(IndexDamaged, match="should be signed, and is a package of a format that has no signatures"):
        check(b"!<arch>\n")


def test_who_has_to_vouch() -> None:
    content = rpm_of(packed(Put("a")))
    named, unnamed = package_of(content), Package(name="p", version="1-1", arch="amd64", url="", size=0, sha256="")
    check_package(named, content, Trust())
    with pytest.raises(IndexDamaged, match="the index has no SHA256 of it"):
        check_package(unnamed, content, Trust())
    check_package(unnamed, content, Trust(signed=Signed.NO))
    signed = rpm_of(packed(Put("a")), key=KEY, signature="dsa")
    check_package(unnamed, signed, Trust(signed=Signed.PACKAGES, keyrings=(KEY.keyring,)))
    with pytest.raises(IndexDamaged, match="not signed"):
        check_package(unnamed, content, Trust(signed=Signed.PACKAGES, keyrings=(KEY.keyring,)))
