from dataclasses import replace

import pytest
from kmodci.distros import DISTROS, Found, Place, layout_of
from kmodci.model import Evidence, PackageKind
from kmodci.repos.base import Listed

CONFIG = (
    b"CONFIG_X86_64=y\nCONFIG_MODULES=y\n"
    b'CONFIG_CC_VERSION_TEXT="x86_64-cros-linux-gnu-gcc (Gentoo Hardened 14.3.0 p8) 14.3.0"\n'
)
PLACE = Place(distro="flatcar", series="stable", repository="flatcar-stable by-hand", arches=("amd64", "arm64"))


def part(
    kind: PackageKind, *, release: str = "6.12.59-flatcar", arch: str = "amd64", content: bytes | None = None
) -> Listed:
    return Listed(
        name=f"linux-{release}",
        version=release,
        arch=arch,
        url=f"https://example.org/{kind}",
        sha256=f"{kind:x<64}",
        kind=kind,
        content=content,
    )


SOURCE, SYMVERS = part(PackageKind.SOURCE), part(PackageKind.SYMVERS)


def configured(content: bytes = CONFIG) -> Listed:
    return part(PackageKind.CONFIG, content=content)


def found(*listed: Listed, place: Place = PLACE) -> Found:
    return DISTROS[place.distro].kernels(listed, place)


def test_a_kernel() -> None:
    [kernel] = found(configured(), SOURCE).kernels
    assert str(kernel) == "flatcar-stable-amd64/6.12.59-flatcar"
    assert (kernel.flavour, kernel.version, kernel.repository) == ("flatcar", "6.12.59-flatcar", PLACE.repository)
    assert (kernel.toolchain, kernel.evidence) == ("gcc-14", Evidence.CONFIG)
    assert [package.kind for package in kernel.headers] == ["source", "config"]
    assert (kernel.is_source, kernel.has_symvers) == (True, False)
    [with_symvers] = found(SOURCE, configured(), SYMVERS).kernels
    assert with_symvers.has_symvers
    assert kernel.headers_digest != with_symvers.headers_digest
    # what is made of the same says of itself what another kernel's uname prints
    assert kernel.headers_digest != replace(kernel, release="6.12.59-mine").headers_digest


def test_where_its_headers_lie() -> None:
    for listed in ((SOURCE, configured()), (SOURCE, configured(), SYMVERS)):
        [kernel] = found(*listed).kernels
        layout = layout_of(kernel)
        assert [(tree.folder, tree.roots) for tree in layout.trees] == [("linux-6.12.59-flatcar", ("linux",))]
        assert layout.own == "linux-6.12.59-flatcar"


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (
            (SOURCE, configured(CONFIG + b"CONFIG_MODVERSIONS=y\n")),
            "CONFIG_MODVERSIONS is set in its configuration, and",
        ),
        ((SOURCE, configured(CONFIG.replace(b"MODULES", b"X"))), "it takes no modules"),
        ((SOURCE, configured(CONFIG.replace(b"14", b"a"))), "its configuration names no compiler"),
        ((SOURCE,), "not the source and the configuration"),
        ((configured(),), "not the source and the configuration"),
        ((SOURCE, part(PackageKind.CONFIG)), "not the source and the configuration"),
    ],
)
def test_what_no_module_can_be_built_for(listed: tuple[Listed, ...], why: str) -> None:
    other = part(PackageKind.SOURCE, release="6.1.1"), part(PackageKind.CONFIG, release="6.1.1", content=CONFIG)
    told = found(*listed, *other)
    [problem] = told.problems
    assert problem.startswith("linux-6.12.59-flatcar: ")
    assert why in problem
    assert [kernel.release for kernel in told.kernels] == ["6.1.1"]


def test_with_its_symvers_a_kernel_may_have_modversions() -> None:
    [kernel] = found(SOURCE, configured(CONFIG + b"CONFIG_MODVERSIONS=y\n"), SYMVERS).kernels
    assert kernel.has_symvers


def test_the_compiler_of_the_series_where_nothing_else_is_said() -> None:
    silent = configured(CONFIG.replace(b"14", b"a"))
    [kernel] = found(SOURCE, silent, place=replace(PLACE, compiler="gcc-12")).kernels
    assert (kernel.toolchain, kernel.evidence) == ("gcc-12", Evidence.SERIES)


def test_architectures_that_are_not_followed() -> None:
    assert found(SOURCE, configured(), place=replace(PLACE, arches=("arm64",))) == Found(kernels=())


def test_a_kernel_without_a_name_of_its_own() -> None:
    place = replace(PLACE, distro="bottlerocket")
    parts = part(PackageKind.SOURCE, release="6.1.150"), part(PackageKind.CONFIG, release="6.1.150", content=CONFIG)
    [kernel] = found(*parts, place=place).kernels
    assert kernel.flavour == "bottlerocket"


@pytest.mark.parametrize(
    ("one", "two", "order"), [("6.12.59-2", "6.12.59-10", -1), ("6.9.1", "6.10.0", -1), ("1", "1", 0), ("2", "1", 1)]
)
def test_numbers_are_numbers(one: str, two: str, order: int) -> None:
    assert DISTROS["talos"].compare(one, two) == order
