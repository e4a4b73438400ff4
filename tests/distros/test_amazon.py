"""Amazon's kernels. Packages and releases: of its security advisories and of machines that ran them; that the package's
name has the series since 6.12: of Amazon's release notes of 2023.7.20250331."""

import pytest
from kmodci.distros import DISTROS, layout_of
from kmodci.distros.base import Layout, Tree
from kmodci.model import Evidence, Kernel
from kmodci.repos.base import Wanted
from support.rpmlisted import listed, place

AMAZON = DISTROS["amzn"]


def kernels(*packages: str) -> dict[str, Kernel]:
    found = AMAZON.kernels([listed(each) for each in packages], place("amzn", "2023", compiler="gcc-11"))
    assert found.problems == ()
    return {str(kernel): kernel for kernel in found.kernels}


@pytest.mark.parametrize(
    ("package", "name", "flavour"),
    [
        ("kernel-devel-4.14.299-223.520.amzn2.x86_64", "amd64/4.14.299-223.520.amzn2.x86_64", "4.14"),
        ("kernel-devel-5.4.91-41.139.amzn2.aarch64", "arm64/5.4.91-41.139.amzn2.aarch64", "5.4"),
        ("kernel-devel-5.10.219-208.866.amzn2.x86_64", "amd64/5.10.219-208.866.amzn2.x86_64", "5.10"),
        ("kernel-devel-5.15.43-20.123.amzn2.aarch64", "arm64/5.15.43-20.123.amzn2.aarch64", "5.15"),
        ("kernel-devel-6.1.188-233.385.amzn2023.x86_64", "amd64/6.1.188-233.385.amzn2023.x86_64", "6.1"),
        ("kernel6.12-devel-6.12.58-82.121.amzn2023.x86_64", "amd64/6.12.58-82.121.amzn2023.x86_64", "6.12"),
        ("kernel6.12-devel-6.12.80-106.156.amzn2023.x86_64", "amd64/6.12.80-106.156.amzn2023.x86_64", "6.12"),
        ("kernel6.18-devel-6.18.20-20.229.amzn2023.x86_64", "amd64/6.18.20-20.229.amzn2023.x86_64", "6.18"),
        # made up: those to come
        ("kernel7.2-devel-7.2.3-4.56.amzn2023.x86_64", "amd64/7.2.3-4.56.amzn2023.x86_64", "7.2"),
    ],
)
def test_releases(package: str, name: str, flavour: str) -> None:
    [kernel] = kernels(package).values()
    assert str(kernel) == f"amzn-2023-{name}"
    assert (kernel.flavour, kernel.toolchain, kernel.evidence) == (flavour, "gcc-11", Evidence.SERIES)
    folder = f"kernels/{kernel.release}"
    assert layout_of(kernel) == Layout(trees=(Tree(folder=folder, roots=(f"usr/src/{folder}",)),), own=folder)


def test_what_is_looked_for_has_them_all() -> None:
    names = ("kernel-devel", "kernel6.12-devel", "kernel6.18-devel", "kernel7.2-devel", "kernel10.1-devel")
    wanted = Wanted(prefixes=AMAZON.index_prefixes, arches=("amd64",))
    assert all(map(wanted.has, names))
    assert not any(map(wanted.has, ("kernel", "kernel6.12", "kernel-headers", "kernel-livepatch-6.1.188-233.385")))


def test_nothing_else_is_a_kernel() -> None:
    """Not a live patch either: a patched kernel prints what it printed before."""
    others = (
        "kernel-6.1.188-233.385.amzn2023.x86_64",
        "kernel6.12-6.12.58-82.121.amzn2023.x86_64",
        "kernel-headers-6.1.188-233.385.amzn2023.x86_64",
        "kernel6.12-headers-6.12.58-82.121.amzn2023.x86_64",
        "kernel6.12-modules-extra-6.12.58-82.121.amzn2023.x86_64",
        "kernel-livepatch-6.1.188-233.385-1.0-2.amzn2023.x86_64",
        "kernel-tools-devel-6.1.188-233.385.amzn2023.x86_64",
        "kernel-devel-6.1.188-233.385.amzn2023.src",
    )
    assert kernels(*others) == {}
