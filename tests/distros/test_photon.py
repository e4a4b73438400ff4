"""Photon's kernels. Packages and releases: of its security advisories and release notes, and of machines that ran
them; folders: of SPECS/linux/*.spec of https://github.com/vmware/photon, which differ in them."""

import pytest
from kmodci.distros import DISTROS, layout_of
from kmodci.distros.base import Layout, Tree
from kmodci.model import Evidence, Kernel
from support.rpmlisted import listed, place

PHOTON = DISTROS["photon"]


def kernels(*packages: str) -> dict[str, Kernel]:
    found = PHOTON.kernels([listed(each) for each in packages], place("photon", "5.0"))
    assert found.problems == ()
    return {str(kernel): kernel for kernel in found.kernels}


@pytest.mark.parametrize(
    ("package", "name", "flavour"),
    [
        ("linux-devel-6.1.159-10.ph5.x86_64", "amd64/6.1.159-10.ph5", "default"),
        ("linux-devel-6.1.159-10.ph5.aarch64", "arm64/6.1.159-10.ph5", "default"),
        ("linux-esx-devel-6.1.159-7.ph5.x86_64", "amd64/6.1.159-7.ph5-esx", "esx"),
        ("linux-esx-devel-6.12.60-10.ph5.x86_64", "amd64/6.12.60-10.ph5-esx", "esx"),
        ("linux-rt-devel-5.10.214-2.ph4.x86_64", "amd64/5.10.214-2.ph4-rt", "rt"),
        ("linux-aws-devel-5.10.109-3.ph4.x86_64", "amd64/5.10.109-3.ph4-aws", "aws"),
        ("linux-secure-devel-4.19.261-1.ph3.x86_64", "amd64/4.19.261-1.ph3-secure", "secure"),
    ],
)
def test_releases(package: str, name: str, flavour: str) -> None:
    [kernel] = kernels(package).values()
    assert str(kernel) == f"photon-5.0-{name}"
    assert (kernel.flavour, kernel.toolchain, kernel.evidence) == (flavour, "gcc-12", Evidence.SERIES)
    assert len(kernel.headers) == 1


def test_nothing_else_is_a_kernel() -> None:
    others = (
        "linux-6.1.159-10.ph5.x86_64",
        "linux-docs-6.1.159-10.ph5.x86_64",
        "linux-drivers-gpu-6.1.159-10.ph5.x86_64",
        "linux-api-headers-6.1.159-1.ph5.noarch",
        "linux-PAM-devel-1.5.3-1.ph5.x86_64",
        "linux-esx-devel-debuginfo-6.1.159-7.ph5.x86_64",
    )
    assert kernels(*others) == {}


def test_folders_are_called_in_two_ways() -> None:
    [plain] = kernels("linux-devel-6.1.159-10.ph5.x86_64").values()
    folder = "linux-headers-6.1.159-10.ph5"
    assert layout_of(plain) == Layout(trees=(Tree(folder=folder, roots=(f"usr/src/{folder}",)),), own=folder)
    [rt] = kernels("linux-rt-devel-5.10.214-2.ph4.x86_64").values()
    folder = "linux-headers-5.10.214-2.ph4-rt"
    roots = (f"usr/src/{folder}", "usr/src/linux-rt-headers-5.10.214-2.ph4-rt")
    assert layout_of(rt) == Layout(trees=(Tree(folder=folder, roots=roots),), own=folder)
