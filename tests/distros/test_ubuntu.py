import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from kmodci.distros import DISTROS, Found, Place, layout_of
from kmodci.model import Evidence, Kernel
from kmodci.repos.base import Listed
from kmodci.repos.stanzas import scan_packages

UBUNTU = DISTROS["ubuntu"]
DATA = Path(__file__).parents[1] / "data" / "ubuntu" / "packages.tsv"
PLACE = Place(
    distro="ubuntu", series="noble", repository="noble-updates main", arches=("amd64", "arm64"), compiler="gcc-13"
)


def rows() -> list[dict[str, str]]:
    with DATA.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def index() -> str:
    """The rows as a Packages file."""
    return "\n".join(
        f"Package: {row['name']}\nArchitecture: {row['arch']}\nVersion: {row['version']}\nSource: {row['source']}\n"
        + (f"Depends: {row['depends']}, libc6 (>= 2.38), libelf1t64 (>= 0.144)\n" if row["depends"] else "")
        + f"Filename: pool/main/l/{row['source']}/{row['name']}_{row['version']}_{row['arch']}.deb\n"
        + f"Size: 1000\nSHA256: {number:064x}\n"
        for number, row in enumerate(rows())
    )


def listed(text: str = "") -> tuple[Listed, ...]:
    scan = scan_packages([(text or index()).encode()], mirror="http://m/ubuntu", prefixes=UBUNTU.index_prefixes)
    assert scan.problems == ()
    return scan.listed


def found(packages: tuple[Listed, ...], **place: str | tuple[str, ...]) -> Found:
    return UBUNTU.kernels(packages, replace(PLACE, **place))


def kernels() -> dict[str, Kernel]:
    result = found(listed())
    assert result.problems == ()
    return {f"{kernel.target.arch}/{kernel.release}": kernel for kernel in result.kernels}


def changed(package: str, /, **changes: object) -> Found:
    """What is found when all packages of a name are changed; `drop` leaves them out."""
    kept = [one for one in listed() if one.name != package or "drop" not in changes]
    return found(tuple(replace(one, **changes) if one.name == package else one for one in kept))


def test_an_index_is_searched_for_header_packages_only() -> None:
    names = {package.name for package in listed()}
    assert names == {row["name"] for row in rows() if "headers-" in row["name"]}
    assert names.isdisjoint({"linux-hwe-6.17-tools-6.17.0-19", "linux-generic"})
    assert {"linux-headers-generic", "linux-headers-6.8.0-31", "linux-hwe-6.17-headers-6.17.0-19"} <= names


def test_every_kernel_and_nothing_else() -> None:
    """A kernel is what depends on the headers that flavours share; metapackages depend on a kernel."""
    shared = {row["depends"] for row in rows() if row["from"] != "other"} - {""}
    expected = {
        (row["arch"], row["name"].removeprefix("linux-headers-"), row["version"])
        for row in rows()
        if row["depends"] in shared
    }
    assert {(k.target.arch, k.release, k.version) for k in kernels().values()} == expected
    assert Counter(arch for arch, _, _ in expected) == {"amd64": 19, "arm64": 12}


@pytest.mark.parametrize(
    ("name", "flavour", "version", "shared"),
    [
        ("amd64/6.8.0-31-generic", "generic", "6.8.0-31.31", "linux-headers-6.8.0-31"),
        ("amd64/6.11.0-17-generic", "generic", "6.11.0-17.17~24.04.2", "linux-hwe-6.11-headers-6.11.0-17"),
        ("amd64/6.17.0-19-generic", "generic", "6.17.0-19.19~24.04.2", "linux-hwe-6.17-headers-6.17.0-19"),
        ("arm64/6.17.0-19-generic-64k", "generic-64k", "6.17.0-19.19~24.04.2", "linux-hwe-6.17-headers-6.17.0-19"),
        ("arm64/6.8.0-31-lowlatency-64k", "lowlatency-64k", "6.8.0-31.31", "linux-lowlatency-headers-6.8.0-31"),
        ("arm64/6.8.0-1008-aws-64k", "aws-64k", "6.8.0-1008.8", "linux-aws-headers-6.8.0-1008"),
        ("arm64/6.17.0-1021-nvidia-64k", "nvidia-64k", "6.17.0-1021.21", "linux-nvidia-6.17-headers-6.17.0-1021"),
        ("amd64/6.8.0-1058-azure-fde", "azure-fde", "6.8.0-1058.65~22.04.1", "linux-azure-fde-6.8-headers-6.8.0-1058"),
        ("amd64/5.15.0-1004-intel-iotg", "intel-iotg", "5.15.0-1004.6", "linux-intel-iotg-headers-5.15.0-1004"),
        ("amd64/6.8.0-1005-oem", "oem", "6.8.0-1005.5", "linux-oem-6.8-headers-6.8.0-1005"),
        ("arm64/5.4.0-1013-raspi", "raspi", "5.4.0-1013.13", "linux-raspi-headers-5.4.0-1013"),
        ("amd64/6.8.1-1015-realtime", "realtime", "6.8.1-1015.16", "linux-realtime-headers-6.8.1-1015"),
        (
            "amd64/6.14.0-061400rc5-generic",
            "generic",
            "6.14.0-061400rc5.202503022109",
            "linux-headers-6.14.0-061400rc5",
        ),
    ],
)
def test_the_release_is_the_packages_name(name: str, flavour: str, version: str, shared: str) -> None:
    kernel = kernels()[name]
    assert (kernel.flavour, kernel.version) == (flavour, version)
    assert str(kernel) == f"ubuntu-noble-{name}"
    assert [package.name for package in kernel.headers] == [f"linux-headers-{kernel.release}", shared]
    assert {package.version for package in kernel.headers} == {version}


def test_only_the_architectures_that_are_asked_for() -> None:
    assert UBUNTU.index_arches(["arm64"]) == ("arm64",)
    arm = found(listed(), arches=("arm64",))
    assert {kernel.target.arch for kernel in arm.kernels} == {"arm64"}
    assert len(arm.kernels) == 12


def test_the_compiler_is_the_series_until_the_headers_say() -> None:
    assert {(k.toolchain, k.evidence) for k in kernels().values()} == {("gcc-13", Evidence.SERIES)}
    text = index().replace("Depends: linux-headers-6.8.0-31,", "Depends: linux-headers-6.8.0-31, gcc-12 | gcc,")
    named = {k.release: k for k in found(listed(text)).kernels}
    assert (named["6.8.0-31-generic"].toolchain, named["6.8.0-31-generic"].evidence) == ("gcc-12", Evidence.PACKAGE)
    without = found(listed(), compiler="")
    assert without.kernels == ()
    assert "names no compiler" in without.problems[0]


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("linux-hwe-6.11-headers-6.11.0-17", {"drop": True}, "needs linux-hwe-6.11-headers-6.11.0-17 for amd64"),
        ("linux-hwe-6.11-headers-6.11.0-17", {"arch": "i386"}, "which the index does not list"),
        ("linux-headers-6.11.0-17-generic", {"name": "linux-headers-6.11.0-16-generic"}, "another kernel release"),
        ("linux-headers-6.11.0-17-generic", {"name": "linux-headers-6.11.0..17-generic"}, "not a kernel release"),
        ("linux-headers-6.11.0-17-generic", {"name": "linux-headers-6.11.0-17-$(id)"}, "not a kernel release"),
        ("linux-headers-6.11.0-17-generic", {"name": "linux-headers-6.11.0-17-;reboot"}, "not a kernel release"),
    ],
)
def test_a_kernel_that_cannot_be_built_is_reported(name: str, changes: dict[str, object], said: str) -> None:
    result = changed(name, **changes)
    assert len(result.kernels) == 30
    assert len(result.problems) == 1
    assert said in result.problems[0]


def test_the_same_upload_comes_before_a_newer_one() -> None:
    packages = listed()
    (own,) = (one for one in packages if one.name == "linux-hwe-6.11-headers-6.11.0-17")
    newer = replace(own, version="6.11.0-17.17~24.04.9", source_version="6.11.0-17.17~24.04.9")
    result = {k.release: k for k in found((newer, *packages)).kernels}
    assert result["6.11.0-17-generic"].headers[1].version == "6.11.0-17.17~24.04.2"


@pytest.mark.parametrize("release", ["6.11.0-17-generic", "6.8.0-31-generic", "6.8.0-1058-azure-fde"])
def test_a_pair_of_packages_without_dependencies(release: str) -> None:
    """As another crawler's list has them: names, versions and architectures only."""
    (kernel,) = (k for name, k in kernels().items() if name == f"amd64/{release}")
    pair = tuple(
        replace(one, depends=(), source="", source_version="", sha256="", size=0)
        for one in listed()
        if one.name in [header.name for header in kernel.headers] and one.arch in ("amd64", "all")
    )
    (found_one,) = found(pair).kernels
    assert (found_one.release, found_one.flavour) == (release, kernel.flavour)
    assert [header.name for header in found_one.headers] == [header.name for header in kernel.headers]
    other = tuple(replace(one, version="6.0-1") if one.arch == "all" else one for one in pair)
    assert "cannot be told: none" in found(other).problems[0]
    (shared,) = (one for one in pair if one.arch == "all")
    two = replace(shared, name=f"linux-other-headers-{shared.name.partition('-headers-')[2]}")
    ambiguous = found((*pair, two))
    assert ambiguous.kernels == ()
    assert f"cannot be told: {shared.name}, {two.name}" in ambiguous.problems[0]


def test_where_the_headers_lie() -> None:
    hwe, generic = layout_of(kernels()["amd64/6.17.0-19-generic"]), layout_of(kernels()["amd64/6.8.0-31-generic"])
    assert (hwe.own, hwe.source) == ("linux-headers-6.17.0-19-generic", "")
    assert [tree.folder for tree in hwe.trees] == [hwe.own, "linux-hwe-6.17-headers-6.17.0-19"]
    # the link of Rust leads out of the two packages; of HWE kernels, into none at all
    assert hwe.trees[0].roots == (
        "usr/src/linux-headers-6.17.0-19-generic",
        "usr/src/linux-lib-rust-6.17.0-19-generic",
        "usr/src/linux-hwe-6.17-lib-rust-6.17.0-19-generic",
    )
    assert generic.trees[1].roots == ("usr/src/linux-headers-6.8.0-31",)
    assert generic.trees[0].roots[1:] == ("usr/src/linux-lib-rust-6.8.0-31-generic",)


def test_two_looks_at_the_same_are_equal() -> None:
    assert found(listed()) == found(listed())


@pytest.mark.parametrize(
    ("older", "newer"), [("6.11.0-17.17~24.04.2", "6.11.0-17.17"), ("6.8.0-9.9", "6.8.0-31.31"), ("1-1", "1-1ubuntu1")]
)
def test_versions_are_compared_as_debian_does(older: str, newer: str) -> None:
    assert UBUNTU.compare(older, newer) < 0 < UBUNTU.compare(newer, older)
