import io
from collections import Counter
from dataclasses import replace

import pytest
from debian.deb822 import Packages
from kmodci.distros import DISTROS, Found, Place
from kmodci.model import Kernel
from kmodci.repos.base import Listed
from support.debian import SUITES, packages, stanzas

DEBIAN = DISTROS["debian"]
ARCHES = ("amd64", "arm64")


def place(suite: str, arches: tuple[str, ...] = ARCHES) -> Place:
    return Place(
        distro="debian",
        series=SUITES[suite],
        repository=f"{suite} main",
        arches=arches,
    )


def kernels(suite: str) -> dict[str, Kernel]:
    found = DEBIAN.kernels(stanzas(suite, *ARCHES), place(suite))
    assert found.problems == ()
    return {str(kernel): kernel for kernel in found.kernels}


def changed(package: str, /, **changes: object) -> Found:
    """What is found in bookworm when all packages of a name are changed; `drop` leaves them out."""
    index: list[Listed] = []
    for stanza in stanzas("bookworm", *ARCHES):
        if stanza.name != package:
            index.append(stanza)
        elif "drop" not in changes:
            index.append(replace(stanza, **changes))
    return DEBIAN.kernels(index, place("bookworm", ("amd64",)))


def test_every_kernel_of_debian() -> None:
    """The same as python-debian, which parses everything, finds: a kernel depends on a linux-kbuild."""
    expected: set[tuple[str, str, str]] = set()
    found: set[tuple[str, str, str]] = set()
    for suite in SUITES:
        for arch in ARCHES:
            for one in Packages.iter_paragraphs(io.BytesIO(packages(suite, arch)), use_apt_pkg=False):
                name = one["Package"]
                if (
                    one["Architecture"] != "all"
                    and name.startswith("linux-headers-")
                    and "linux-kbuild" in one["Depends"]
                ):
                    expected.add((arch, name.removeprefix("linux-headers-"), one["Version"]))
        found |= {(kernel.target.arch, kernel.release, kernel.version) for kernel in kernels(suite).values()}
    assert found == expected
    assert Counter(arch for arch, _, _ in found) == {"amd64": 114, "arm64": 135}


@pytest.mark.parametrize(
    ("suite", "name", "version", "flavour", "toolchain", "headers"),
    [
        (
            "bullseye",
            "debian-bullseye-amd64/5.10.0-32-rt-amd64",
            "5.10.223-1",
            "rt-amd64",
            "gcc-10",
            ["linux-headers-5.10.0-32-rt-amd64", "linux-headers-5.10.0-32-common-rt", "linux-kbuild-5.10"],
        ),
        (
            "bookworm",
            "debian-bookworm-arm64/6.1.0-50-cloud-arm64",
            "6.1.176-1",
            "cloud-arm64",
            "gcc-12",
            ["linux-headers-6.1.0-50-cloud-arm64", "linux-headers-6.1.0-50-common", "linux-kbuild-6.1"],
        ),
        (
            "trixie-security",
            "debian-trixie-arm64/6.12.115+deb13.1-arm64-16k",
            "6.12.115-2",
            "arm64-16k",
            "gcc-14",
            [
                "linux-headers-6.12.115+deb13.1-arm64-16k",
                "linux-headers-6.12.115+deb13.1-common",
                "linux-kbuild-6.12.115+deb13.1",
            ],
        ),
        (
            "experimental",
            "debian-sid-amd64/7.3-amd64",
            "7.3~rc7-1~exp1",
            "amd64",
            "gcc-16",
            ["linux-headers-7.3-amd64", "linux-headers-7.3-common", "linux-kbuild-7.3"],
        ),
    ],
)
def test_one_of_each_generation(
    suite: str, name: str, version: str, flavour: str, toolchain: str, headers: list[str]
) -> None:
    kernel = kernels(suite)[name]
    assert (kernel.version, kernel.flavour, kernel.toolchain) == (version, flavour, toolchain)
    assert [package.name for package in kernel.headers] == headers
    assert kernel.headers[0].arch == kernel.target.arch
    assert kernel.headers[2].arch == "amd64"


def test_programs_are_those_of_the_build_machine_even_if_only_arm64_is_followed() -> None:
    assert DEBIAN.index_arches(["arm64"]) == ("arm64", "amd64")
    found = DEBIAN.kernels(stanzas("sid", "arm64", "amd64"), place("sid", ("arm64",)))
    assert {kernel.target.arch for kernel in found.kernels} == {"arm64"}
    assert {kernel.headers[2].arch for kernel in found.kernels} == {"amd64"}
    without = DEBIAN.kernels(stanzas("sid", "arm64"), place("sid", ("arm64",)))
    assert without.kernels == ()
    assert len(without.problems) == 4
    assert "needs linux-kbuild-7.2.13+deb14 for amd64" in without.problems[0]


def test_the_same_source_version_comes_before_a_newer_one() -> None:
    index = stanzas("bookworm", "amd64")
    (kbuild,) = (one for one in index if one.name == "linux-kbuild-6.1")
    older = replace(kbuild, version="6.1.170-3", source_version="6.1.170-3")
    newer = replace(kbuild, version="6.1.999-1", source_version="6.1.999-1")
    found = DEBIAN.kernels([newer, older, *index], place("bookworm", ("amd64",))).kernels
    versions = {kernel.release: kernel.headers[2].version for kernel in found}
    assert versions["6.1.0-47-amd64"] == "6.1.170-3"
    assert versions["6.1.0-50-amd64"] == "6.1.176-1"
    elsewhere = DEBIAN.kernels([newer, *index], place("bookworm", ("amd64",))).kernels
    assert {k.headers[2].version for k in elsewhere if k.release.startswith("6.1.0-47")} == {"6.1.999-1"}


@pytest.mark.parametrize(
    ("name", "changes", "lost", "said"),
    [
        ("linux-kbuild-6.1", {"drop": True}, 6, "needs linux-kbuild-6.1 (>= 6.1.170-3) for amd64"),
        ("linux-kbuild-6.1", {"version": "6.1.170-3"}, 3, "needs linux-kbuild-6.1 (>= 6.1.176-1) for amd64"),
        ("linux-headers-6.1.0-47-common-rt", {"version": "6.1.170-4"}, 1, "needs linux-headers-6.1.0-47-common-rt (="),
        ("linux-headers-6.1.0-47-amd64", {"name": "linux-headers-6.1.0..47-amd64"}, 1, "not a kernel release"),
        ("linux-headers-6.1.0-47-amd64", {"name": "linux-headers-x-amd64"}, 1, "not a kernel release"),
        ("linux-headers-6.1.0-47-amd64", {"name": "linux-headers-6.1.0-46-amd64"}, 1, "another kernel release"),
    ],
)
def test_a_kernel_that_cannot_be_built_is_reported(name: str, changes: dict[str, object], lost: int, said: str) -> None:
    found = changed(name, **changes)
    assert len(found.kernels) == 6 - lost
    assert len(found.problems) == lost
    assert said in found.problems[0]


def test_a_compiler_that_is_not_named_is_reported() -> None:
    name = "linux-headers-6.1.0-50-amd64"
    (stanza,) = (one for one in stanzas("bookworm", "amd64") if one.name == name)
    clang = tuple(group for group in stanza.depends if "gcc" not in group[0].name)
    found = changed(name, depends=clang)
    assert len(found.kernels) == 5
    assert "no compiler" in found.problems[0]


@pytest.mark.parametrize(
    ("older", "newer"), [("7.3~rc7-1", "7.3-1"), ("6.9-1", "6.10-1"), ("6.1-9", "1:5.10-1"), ("6.1-1", "6.1-1+b1")]
)
def test_versions_are_compared_as_debian_does(older: str, newer: str) -> None:
    assert DEBIAN.compare(older, newer) < 0 < DEBIAN.compare(newer, older)
    assert DEBIAN.compare(newer, newer) == 0


def test_on_its_own_machine_a_kernel_has_the_programs_for_that() -> None:
    kernel = kernels("bookworm")["debian-bookworm-arm64/6.1.0-50-arm64"]
    native = kernel.on("arm64")
    assert [package.arch for package in kernel.headers] == ["arm64", "all", "amd64"]
    assert [package.arch for package in native.headers] == ["arm64", "all", "arm64"]
    assert [package.name for package in native.headers] == [package.name for package in kernel.headers]
    assert native.headers_digest != kernel.headers_digest
    assert kernel.headers_digests == (kernel.headers_digest, native.headers_digest)
    assert kernel.on("amd64") == kernel
    assert kernel.can_be_built_on("arm64")
    other = kernels("bookworm")["debian-bookworm-amd64/6.1.0-50-amd64"]
    assert (other.native, len(other.headers_digests)) == ((), 1)


def test_without_these_programs_it_is_built_elsewhere() -> None:
    index = [each for each in stanzas("bookworm", *ARCHES) if (each.name[:12], each.arch) != ("linux-kbuild", "arm64")]
    found = {each.release: each for each in DEBIAN.kernels(index, place("bookworm")).kernels}
    kernel = found["6.1.0-50-arm64"]
    assert kernel.native == ()
    assert (kernel.can_be_built_on("arm64"), kernel.can_be_built_on("amd64")) == (False, True)
