from pathlib import Path

import pytest
from kmodci.distros import DISTROS, Found, Place, layout_of
from kmodci.model import Evidence
from kmodci.repos.base import Dependency, Listed, arch_of

DATA = Path(__file__).parent.parent / "data" / "redhat"
ROWS = [line.split("\t") for line in (DATA / "kernels.tsv").read_text().splitlines()]
FAMILY = ["rhel", "almalinux", "rocky", "centos", "fedora"]


def listed(name: str, version: str, arch: str = "x86_64", uname: str = "") -> Listed:
    provides = Dependency(name="kernel-devel-uname-r", relation="=", version=uname)
    url = f"http://x/{name}-{version}.{arch}.rpm"
    return Listed(
        name=name, version=version, arch=arch_of(arch), url=url, sha256="a" * 64, provides=(provides,) if uname else ()
    )


def kernels(*packages: Listed, distro: str = "rhel", compiler: str = "gcc-11") -> Found:
    place = Place(distro=distro, series="9", repository="r", arches=("amd64", "arm64"), compiler=compiler)
    return DISTROS[distro].kernels(packages, place)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(row[:3]))
def test_what_uname_prints(row: list[str]) -> None:
    name, version, arch, says, release, flavour = row
    # the newer packages say it themselves; the rule is for those that do not
    for uname in (says, ""):
        found = kernels(listed(name, version, arch, uname))
        assert found.problems == ()
        [kernel] = found.kernels
        assert (kernel.release, kernel.flavour, kernel.version) == (release, flavour, version)
        assert (kernel.toolchain, kernel.evidence) == ("gcc-11", Evidence.SERIES)


@pytest.mark.parametrize("distro", FAMILY)
def test_the_whole_family(distro: str) -> None:
    [kernel] = kernels(listed("kernel-devel", "5.14.0-503.el9"), distro=distro).kernels
    assert str(kernel) == f"{distro}-9-amd64/5.14.0-503.el9.x86_64"
    assert [package.name for package in kernel.headers] == ["kernel-devel"]
    layout = layout_of(kernel)
    assert layout.own == "kernels/5.14.0-503.el9.x86_64"
    assert layout.trees[0].roots == ("usr/src/kernels/5.14.0-503.el9.x86_64",)
    assert (layout.source, len(layout.trees)) == ("", 1)


@pytest.mark.parametrize(
    "name",
    [
        "kernel-devel-matched",
        "kernel-debug-devel",
        "kernel",
        "kernel-headers",
        "kernel-64k-devel-matched",
        "bash-devel",
    ],
)
def test_what_is_no_kernel(name: str) -> None:
    assert kernels(listed(name, "5.14.0-503.el9")) == Found(kernels=())


def test_what_an_index_is_searched_for() -> None:
    distro = DISTROS["rhel"]
    for name, *_ in ROWS:
        assert name.startswith(distro.index_prefixes)
    assert distro.index_arches(["arm64"]) == ("arm64",)


def test_an_odd_release_takes_nothing_else_down() -> None:
    odd = listed("kernel-devel", "5.14.0-504.el9", uname="5.14.0-$(reboot).el9.x86_64")
    found = kernels(odd, listed("kernel-devel", "5.14.0-503.el9"))
    assert [kernel.version for kernel in found.kernels] == ["5.14.0-503.el9"]
    [problem] = found.problems
    assert problem.startswith("kernel-devel 5.14.0-504.el9: not a kernel release: '5.14.0-$(reboot)")


def test_other_architectures_are_left_out() -> None:
    assert kernels(listed("kernel-devel", "3.10.0-1160.el7", "i686")) == Found(kernels=())


def test_without_a_compiler_nothing_can_be_planned() -> None:
    found = kernels(listed("kernel-devel", "5.14.0-503.el9"), compiler="")
    assert found.kernels == ()
    assert "say `compiler: gcc-N` in targets.yml" in found.problems[0]
