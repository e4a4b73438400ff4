"""SUSE's kernels.

Packages, and what `uname -r` prints for them: of SUSE's security advisories for SLE 12 and 15 and openSUSE Leap (their
lists of packages with versions), and of lists of machines that ran them. What is not of there is said to be made up.
"""

import pytest
from kmodci.distros import DISTROS, Found, layout_of
from kmodci.distros.base import Layout, Tree
from kmodci.model import Evidence, Kernel
from support.rpmlisted import listed, place

SUSE = DISTROS["opensuse"]


def found(*packages: str, arches: tuple[str, ...] = ("amd64", "arm64")) -> Found:
    return SUSE.kernels([listed(each) for each in packages], place("opensuse", "15.6", *arches, compiler="gcc-7"))


def kernels(*packages: str) -> dict[str, Kernel]:
    made = found(*packages)
    assert made.problems == ()
    return {str(kernel): kernel for kernel in made.kernels}


@pytest.mark.parametrize(
    ("package", "sources", "name", "flavour"),
    [
        (
            "kernel-default-devel-5.14.21-150400.22.1.x86_64",
            "kernel-devel-5.14.21-150400.22.1.noarch",
            "amd64/5.14.21-150400.22-default",
            "default",
        ),
        (
            "kernel-default-devel-5.14.21-150400.24.46.1.x86_64",
            "kernel-devel-5.14.21-150400.24.46.1.noarch",
            "amd64/5.14.21-150400.24.46-default",
            "default",
        ),
        (
            "kernel-64kb-devel-5.14.21-150500.55.91.1.aarch64",
            "kernel-devel-5.14.21-150500.55.91.1.noarch",
            "arm64/5.14.21-150500.55.91-64kb",
            "64kb",
        ),
        (
            # the two were built another number of times
            "kernel-azure-devel-4.12.14-16.73.2.x86_64",
            "kernel-devel-azure-4.12.14-16.73.1.noarch",
            "amd64/4.12.14-16.73-azure",
            "azure",
        ),
        (
            "kernel-rt_debug-devel-6.4.0-150600.10.23.1.x86_64",
            "kernel-devel-rt-6.4.0-150600.10.23.1.noarch",
            "amd64/6.4.0-150600.10.23-rt_debug",
            "rt_debug",
        ),
        (
            "kernel-default-devel-4.4.175-89.1.x86_64",
            "kernel-devel-4.4.175-89.1.noarch",
            "amd64/4.4.175-89-default",
            "default",
        ),
        (
            # Tumbleweed
            "kernel-64kb-devel-6.4.6-1.1.aarch64",
            "kernel-devel-6.4.6-1.1.noarch",
            "arm64/6.4.6-1-64kb",
            "64kb",
        ),
        (
            # made up, by the rule for kernels of the day
            "kernel-default-devel-6.12.0-2.1.g1234567.x86_64",
            "kernel-devel-6.12.0-2.4.g1234567.noarch",
            "amd64/6.12.0-2.g1234567-default",
            "default",
        ),
        (
            # made up: a release without a count
            "kernel-default-devel-6.12.0-2.x86_64",
            "kernel-devel-6.12.0-2.noarch",
            "amd64/6.12.0-2-default",
            "default",
        ),
    ],
)
def test_releases(package: str, sources: str, name: str, flavour: str) -> None:
    [kernel] = kernels(package, sources).values()
    assert str(kernel) == f"opensuse-15.6-{name}"
    assert kernel.flavour == flavour
    assert [f"{each.name}-{each.version}" for each in kernel.headers] == [
        each.rpartition(".")[0] for each in (package, sources)
    ]
    assert (kernel.toolchain, kernel.evidence) == ("gcc-7", Evidence.SERIES)


def test_every_kernel_of_a_repository_and_nothing_else() -> None:
    """An update repository keeps what it had. (KC takes the first, and only `default`.)"""
    assert set(
        kernels(
            "kernel-default-6.4.0-150600.23.17.1.x86_64",
            "kernel-default-devel-6.4.0-150600.23.17.1.x86_64",
            "kernel-default-devel-6.4.0-150600.23.47.2.x86_64",
            "kernel-default-devel-debuginfo-6.4.0-150600.23.47.2.x86_64",
            "kernel-default-livepatch-devel-6.4.0-150600.23.47.2.x86_64",
            "kernel-default-base-6.4.0-150600.23.47.2.150600.12.12.6.x86_64",
            "kernel-devel-6.4.0-150600.23.17.1.noarch",
            "kernel-devel-6.4.0-150600.23.47.2.noarch",
            "kernel-macros-6.4.0-150600.23.47.2.noarch",
            "kernel-source-6.4.0-150600.23.47.2.noarch",
            "kernel-syms-6.4.0-150600.23.47.2.x86_64",
            "kernel-obs-build-6.4.0-150600.23.47.2.x86_64",
            "kernel-kvmsmall-devel-6.4.0-150600.23.47.2.x86_64",
            "kernel-default-devel-6.4.0-150600.23.47.2.s390x",
        )
    ) == {
        "opensuse-15.6-amd64/6.4.0-150600.23.17-default",
        "opensuse-15.6-amd64/6.4.0-150600.23.47-default",
        "opensuse-15.6-amd64/6.4.0-150600.23.47-kvmsmall",
    }


def test_the_newest_build_of_a_release_is_the_one() -> None:
    """Made up: both packages twice."""
    [kernel] = kernels(
        "kernel-default-devel-6.4.0-150600.23.25.9.x86_64",
        "kernel-default-devel-6.4.0-150600.23.25.10.x86_64",
        "kernel-default-devel-6.4.0-150600.23.25.2.x86_64",
        "kernel-devel-6.4.0-150600.23.25.9.noarch",
        "kernel-devel-6.4.0-150600.23.25.11.noarch",
        "kernel-devel-6.4.0-150600.23.25.10.noarch",
    ).values()
    assert kernel.version == "6.4.0-150600.23.25.10"
    assert kernel.headers[1].version == "6.4.0-150600.23.25.11"


def test_the_sources_of_a_branch_come_before_the_common_ones() -> None:
    """Made up: of the same version."""
    by_release = {
        kernel.release: kernel.headers[1].name
        for kernel in kernels(
            "kernel-rt-devel-6.4.0-10.1.x86_64",
            "kernel-default-devel-6.4.0-10.1.x86_64",
            "kernel-devel-6.4.0-10.2.noarch",
            "kernel-devel-rt-6.4.0-10.1.noarch",
            "kernel-devel-azure-6.4.0-10.1.noarch",
        ).values()
    }
    assert by_release == {"6.4.0-10-rt": "kernel-devel-rt", "6.4.0-10-default": "kernel-devel"}


@pytest.mark.parametrize(
    "sources",
    [
        (),
        ("kernel-devel-6.4.0-150600.23.17.1.noarch",),
        ("kernel-devel-azure-6.4.0-150600.23.47.2.noarch",),
        ("kernel-devel-6.4.0-150600.23.47.2.x86_64",),
    ],
)
def test_a_kernel_without_its_sources_is_told(sources: tuple[str, ...]) -> None:
    made = found("kernel-default-devel-6.4.0-150600.23.47.2.x86_64", *sources)
    assert made.kernels == ()
    assert made.problems == (
        "kernel-default-devel 6.4.0-150600.23.47.2: needs kernel-devel 6.4.0-150600.23.47, which is not listed with it",
    )


def test_a_kernel_of_which_nothing_says_the_compiler_is_told() -> None:
    packages = [listed("kernel-default-devel-6.4.6-1.1.x86_64"), listed("kernel-devel-6.4.6-1.1.noarch")]
    made = SUSE.kernels(packages, place("opensuse", "tumbleweed", compiler=""))
    assert made.kernels == ()
    assert "compiler" in made.problems[0]


@pytest.mark.parametrize(
    ("packages", "layout"),
    [
        (
            ("kernel-default-devel-5.14.21-150400.24.46.1.x86_64", "kernel-devel-5.14.21-150400.24.46.1.noarch"),
            ("linux-5.14.21-150400.24.46-obj/x86_64/default", "linux-5.14.21-150400.24.46"),
        ),
        (
            ("kernel-64kb-devel-6.4.6-1.1.aarch64", "kernel-devel-6.4.6-1.1.noarch"),
            ("linux-6.4.6-1-obj/arm64/64kb", "linux-6.4.6-1"),
        ),
        (
            ("kernel-azure-devel-4.12.14-16.73.2.x86_64", "kernel-devel-azure-4.12.14-16.73.1.noarch"),
            ("linux-4.12.14-16.73-azure-obj/x86_64/azure", "linux-4.12.14-16.73-azure"),
        ),
    ],
)
def test_layouts(packages: tuple[str, ...], layout: tuple[str, str]) -> None:
    [kernel] = kernels(*packages).values()
    own, sources = layout
    assert layout_of(kernel) == Layout(
        trees=(Tree(folder=own, roots=(f"usr/src/{own}",)), Tree(folder=sources, roots=(f"usr/src/{sources}",))),
        own=own,
        source=sources,
    )
