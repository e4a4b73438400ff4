"""Oracle's kernels. Packages and releases: of its errata, and of machines that ran them; variants of UEK, of which no
machine's `uname -r` was at hand: of uek-rpm/ol8/kernel-uek.spec of https://github.com/oracle/linux-uek."""

import pytest
from kmodci.distros import DISTROS, layout_of
from kmodci.distros.base import Layout, Tree
from kmodci.model import Evidence, Kernel
from support.rpmlisted import listed, place

ORACLE = DISTROS["ol"]


def kernels(*packages: str) -> dict[str, Kernel]:
    found = ORACLE.kernels([listed(each) for each in packages], place("ol", "9", compiler="gcc-11"))
    assert found.problems == ()
    return {str(kernel): kernel for kernel in found.kernels}


@pytest.mark.parametrize(
    ("package", "name", "flavour"),
    [
        (
            "kernel-devel-5.14.0-70.13.1.0.3.el9_0.x86_64",
            "amd64/5.14.0-70.13.1.0.3.el9_0.x86_64",
            "default",
        ),
        (
            "kernel-devel-5.14.0-162.6.1.el9_1.x86_64",
            "amd64/5.14.0-162.6.1.el9_1.x86_64",
            "default",
        ),
        (
            "kernel-uek-devel-5.4.17-2102.202.5.el8uek.x86_64",
            "amd64/5.4.17-2102.202.5.el8uek.x86_64",
            "uek",
        ),
        (
            "kernel-uek-devel-5.15.0-312.187.5.3.el9uek.x86_64",
            "amd64/5.15.0-312.187.5.3.el9uek.x86_64",
            "uek",
        ),
        (
            "kernel-uek-devel-6.12.0-105.51.5.el9uek.x86_64",
            "amd64/6.12.0-105.51.5.el9uek.x86_64",
            "uek",
        ),
        (
            "kernel-uek64k-devel-6.12.0-204.92.4.3.1.el9uek.aarch64",
            "arm64/6.12.0-204.92.4.3.1.el9uek.aarch64.64k",
            "uek-64k",
        ),
        (
            "kernel-uekemb3-devel-6.12.0-204.92.4.3.1.el9uek.aarch64",
            "arm64/6.12.0-204.92.4.3.1.el9uek.aarch64.emb3",
            "uek-emb3",
        ),
        (
            # Red Hat's rule for Red Hat's variants
            "kernel-64k-devel-5.14.0-503.11.1.el9_5.aarch64",
            "arm64/5.14.0-503.11.1.el9_5.aarch64+64k",
            "64k",
        ),
    ],
)
def test_releases(package: str, name: str, flavour: str) -> None:
    [kernel] = kernels(package).values()
    assert str(kernel) == f"ol-9-{name}"
    assert (kernel.flavour, kernel.toolchain, kernel.evidence) == (flavour, "gcc-11", Evidence.SERIES)
    folder = f"kernels/{kernel.release}"
    assert layout_of(kernel) == Layout(trees=(Tree(folder=folder, roots=(f"usr/src/{folder}",)),), own=folder)
    assert kernel.headers[0].name.startswith(ORACLE.index_prefixes)


def test_nothing_else_is_a_kernel() -> None:
    others = (
        "kernel-uek-6.12.0-105.51.5.el9uek.x86_64",
        "kernel-uek-core-6.12.0-105.51.5.el9uek.x86_64",
        "kernel-uek-debug-devel-6.12.0-105.51.5.el9uek.x86_64",
        "kernel-uek-modules-extra-6.12.0-105.51.5.el9uek.x86_64",
        "kernel-uek-devel-6.12.0-105.51.5.el9uek.src",
        "kernel-devel-matched-5.14.0-503.11.1.el9_5.x86_64",
    )
    assert kernels(*others) == {}
