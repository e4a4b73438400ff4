"""Arch's kernels: their packages' names and versions, and what `uname -r` prints."""

import pytest
from kmodci.distros import DISTROS, Found, Place
from kmodci.model import Evidence
from kmodci.repos.base import Listed

ARCH = DISTROS["arch"]


def listed(name: str, version: str, arch: str = "amd64") -> Listed:
    url = f"http://x/{name}-{version}-x86_64.pkg.tar.zst"
    return Listed(name=name, version=version, arch=arch, url=url, size=1, sha256="ab" * 32)


def kernels(*packages: Listed, compiler: str = "gcc-16") -> Found:
    place = Place(
        distro="arch", series="rolling", repository="arch-rolling-amd64 core", arches=("amd64",), compiler=compiler
    )
    return ARCH.kernels(packages, place)


# Versions as Arch's archive has them, releases as users of these kernels report them.
@pytest.mark.parametrize(
    ("name", "version", "release", "flavour"),
    [
        ("linux-headers", "6.12.7.arch1-1", "6.12.7-arch1-1", "linux"),
        ("linux-headers", "6.4.11.arch2-1", "6.4.11-arch2-1", "linux"),
        ("linux-headers", "6.1.9.arch1-2", "6.1.9-arch1-2", "linux"),
        ("linux-headers", "6.0.arch1-1", "6.0.0-arch1-1", "linux"),
        ("linux-headers", "5.18.arch1-1", "5.18.0-arch1-1", "linux"),
        ("linux-lts-headers", "6.1.21-1", "6.1.21-1-lts", "lts"),
        ("linux-lts-headers", "6.6.8-1.1", "6.6.8-1.1-lts", "lts"),
        ("linux-zen-headers", "6.4.3.zen1-2", "6.4.3-zen1-2-zen", "zen"),
        ("linux-zen-headers", "6.6.zen1-1", "6.6.0-zen1-1-zen", "zen"),
        ("linux-hardened-headers", "6.16.12.hardened1-1", "6.16.12-hardened1-1-hardened", "hardened"),
    ],
)
def test_releases(name: str, version: str, release: str, flavour: str) -> None:
    found = kernels(listed(name, version))
    [kernel] = found.kernels
    assert (kernel.release, kernel.flavour, kernel.version) == (release, flavour, version)
    assert (str(kernel.target), found.problems) == ("arch-rolling-amd64", ())
    assert (kernel.toolchain, kernel.evidence) == ("gcc-16", Evidence.SERIES)
    assert [package.name for package in kernel.headers] == [name]


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("linux-headers", "6.12.7-1"),
        ("linux-headers", "6.12.7.zen1-1"),
        ("linux-headers", "6.12.7.arch-1"),
        ("linux-headers", "6.12.7.arch1"),
        ("linux-headers", "1:6.12.7.arch1-1"),
        ("linux-headers", "6.12.7.9.arch1-1"),
        ("linux-lts-headers", "6.12.7.arch1-1"),
        ("linux-zen-headers", "6.12.7.zen1.1-1"),
    ],
)
def test_a_version_that_is_not_understood_is_told(name: str, version: str) -> None:
    found = kernels(listed(name, version), listed("linux-lts-headers", "6.6.1-1"))
    assert [kernel.release for kernel in found.kernels] == ["6.6.1-1-lts"]
    assert found.problems[0].startswith(f"{name} {version}: its version is not one of ")


def test_what_is_no_kernel_is_left_out() -> None:
    others = [
        listed("linux-headers-extra", "6.12.7.arch1-1"),
        listed("linux", "6.12.7.arch1-1"),
        listed("linux-api-headers", "6.10-1", "all"),
        listed("linux-headers", "6.12.7.arch1-1", "arm64"),
    ]
    assert kernels(*others) == Found(kernels=())


def test_a_series_needs_a_compiler() -> None:
    found = kernels(listed("linux-headers", "6.12.7.arch1-1"), compiler="")
    assert (found.kernels, found.problems) == (
        (),
        ("no package names its compiler: say `compiler: gcc-N` in targets.yml",),
    )


def test_where_the_headers_are() -> None:
    [kernel] = kernels(listed("linux-zen-headers", "6.4.3.zen1-2")).kernels
    layout = ARCH.layout(kernel)
    assert layout.own == "linux-headers-6.4.3-zen1-2-zen"
    assert [tree.roots for tree in layout.trees] == [("usr/lib/modules/6.4.3-zen1-2-zen/build",)]
