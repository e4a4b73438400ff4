"""What the distributions of rpm packages have in common when a package is odd: it is told, and the others are there."""

import pytest
from kmodci.distros import DISTROS
from support.rpmlisted import listed, place

# a kernel of each, and what else it needs
KERNELS = {
    "almalinux": ("kernel-devel-5.14.0-503.11.1.el9_5.x86_64",),
    "amzn": ("kernel6.12-devel-6.12.58-82.121.amzn2023.x86_64",),
    "ol": ("kernel-uek-devel-6.12.0-105.51.5.el9uek.x86_64",),
    "opensuse": ("kernel-default-devel-6.4.0-150600.23.47.2.x86_64", "kernel-devel-6.4.0-150600.23.47.2.noarch"),
    "photon": ("linux-esx-devel-6.1.159-7.ph5.x86_64",),
}


@pytest.mark.parametrize("distro", KERNELS)
@pytest.mark.parametrize(
    "version", ["6.1..1-1", "x6.1-1", "6.1-$(id)", "6.1-1/../../etc", "6.1-1;reboot", f"6.1-{'1' * 64}", "6.1-1^git"]
)
def test_a_release_that_could_do_harm_is_told_and_takes_nothing_else_down(distro: str, version: str) -> None:
    good = [listed(each) for each in KERNELS[distro]]
    name, machine = good[0].name, KERNELS[distro][0].rpartition(".")[2]
    found = DISTROS[distro].kernels([listed(f"{name}-{version}.{machine}"), *good], place(distro, "9"))
    assert len(found.kernels) == 1
    assert found.kernels[0].version == good[0].version
    [problem] = found.problems
    assert problem.startswith(f"{name} {version}: not a kernel release")


@pytest.mark.parametrize("distro", KERNELS)
def test_other_architectures_are_not_asked_for(distro: str) -> None:
    packages = [listed(each) for each in KERNELS[distro]]
    assert DISTROS[distro].kernels(packages, place(distro, "9", "arm64")).kernels == ()
    assert len(DISTROS[distro].kernels([*packages, *packages], place(distro, "9", "amd64")).kernels) == 1
