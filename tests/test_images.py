from dataclasses import replace
from datetime import UTC, datetime

import pytest
from kmodci.errors import BuildImpossible
from kmodci.fetch import Fetcher
from kmodci.images import Recipe, for_preparing, natively, nearest, recipe, tag_of_key, worker
from kmodci.paths import checkout
from kmodci.release import BadName
from kmodci.repos.base import Wanted
from kmodci.schema import Scope
from kmodci.settings import load
from kmodci.where import recipes_of, repositories

SHIPPED = load(checkout() / "config")


@pytest.fixture
def gcc12() -> Recipe:
    return recipe("gcc-12", distro="debian", series="bookworm")


def test_an_image_has_the_compiler_for_every_architecture(gcc12: Recipe) -> None:
    assert {"gcc-12", "gcc-12-aarch64-linux-gnu", "make", "dwarves", "kmod", "zstd", "dkms"} <= set(gcc12.packages)


def test_tag_and_key_name_the_same_content(gcc12: Recipe) -> None:
    assert gcc12.tag == f"kmodci/toolchain-gcc-12:{gcc12.digest}"
    assert gcc12.key == f"images/toolchain-gcc-12-{gcc12.digest}.tar.zst"


def test_the_same_recipe_has_the_same_digest(gcc12: Recipe) -> None:
    assert recipe("gcc-12", distro="debian", series="bookworm").digest == gcc12.digest


@pytest.mark.parametrize(
    "change",
    [{"series": "trixie"}, {"distro": "ubuntu"}, {"packages": ("gcc-12", "make")}, {"excluded": ()}],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_the_content_changes_the_digest(gcc12: Recipe, change: dict[str, str]) -> None:
    assert replace(gcc12, **change).digest != gcc12.digest


def test_the_way_of_making_changes_the_digest(gcc12: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    before = gcc12.digest
    monkeypatch.setattr("kmodci.images.RECIPE_VERSION", -1)
    assert gcc12.digest != before


def test_an_image_of_another_architecture_has_its_own_compiler_only(gcc12: Recipe) -> None:
    native = natively(gcc12, "arm64")
    assert (native.name, native.short, native.toolchain) == ("toolchain-gcc-12-arm64", "gcc-12-arm64", "gcc-12")
    assert {*gcc12.packages} - {*native.packages} == {"gcc-12-aarch64-linux-gnu"}
    assert native.digest not in (gcc12.digest, replace(native, arch="amd64").digest)
    assert natively(gcc12, "amd64") is gcc12
    assert natively(native, "arm64") is native
    for made in (gcc12, native, for_preparing(native)):
        assert tag_of_key(made.key) == made.tag


def test_the_python_of_another_architecture_is_a_stable_debian_s(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [("ubuntu", "noble"), ("debian", "sid"), ("debian", "bookworm"), ("debian", "trixie")]
    made = []
    for version in ((3, 11), (3, 13), (3, 12)):
        monkeypatch.setattr("sys.version_info", version)
        found = worker("arm64", both)
        assert found
        made.append((found.series, found.arch, found.packages))
    assert made == [(series, "arm64", ("python3",)) for series in ("bookworm", "trixie", "bookworm")]
    assert worker("arm64", [("ubuntu", "noble"), ("debian", "sid")]) is None


@pytest.mark.parametrize("toolchain", ["clang-16", "gcc", "gcc-", "gcc-12-aarch64-linux-gnu"])
def test_a_compiler_that_is_no_package_of_debian_is_refused(toolchain: str) -> None:
    with pytest.raises(BuildImpossible, match=toolchain):
        recipe(toolchain, distro="debian", series="bookworm")


@pytest.mark.parametrize("hostile", ["gcc-12 --", "gcc-12,evil", "../gcc", "$(id)", ""])
def test_hostile_names_are_refused(hostile: str) -> None:
    with pytest.raises(BadName):
        recipe(hostile, distro="debian", series="bookworm")
    with pytest.raises(BadName):
        recipe("gcc-12", distro="debian", series=hostile.replace("gcc", "book worm"))


def test_whose_c_library_an_image_has(gcc12: Recipe) -> None:
    assert gcc12.glibc == (2, 36)
    assert replace(gcc12, series="duke").glibc is None
    assert replace(gcc12, distro="ubuntu").glibc is None


def test_the_shipped_toolchains_follow_one_another() -> None:
    shipped = recipes_of(SHIPPED)
    assert sorted(shipped, key=lambda name: int(name.removeprefix("gcc-"))) == [f"gcc-{n}" for n in range(9, 17)]
    assert all(made.glibc for made in shipped.values())
    assert [nearest(f"gcc-{n}", shipped) for n in (4, 8, 9, 13, 16, 17)] == [
        "gcc-9",
        "gcc-9",
        "gcc-9",
        "gcc-13",
        "gcc-16",
        "",
    ]
    assert nearest("clang-16", shipped) == nearest("", shipped) == ""


def test_the_images_whose_tags_are_kept_are_the_same() -> None:
    """A changed recipe has every farm make its image anew, and build everything of it again."""
    assert {name: made.digest for name, made in recipes_of(SHIPPED).items()} == {
        "gcc-9": "1032f4cd107823e2",
        "gcc-10": "b9316759d4a94bd4",
        "gcc-11": "5363bc3f059a2b13",
        "gcc-12": "cabae92961871268",
        "gcc-13": "edd39f7b45e593f1",
        "gcc-14": "841663418aaaa680",
        "gcc-15": "b2130c77ce05fd17",
        "gcc-16": "3ed06e7a2c4b5dcc",
    }


@pytest.mark.network
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.parametrize("series", sorted({made.series for made in recipes_of(SHIPPED).values()}))
def test_a_series_has_all_packages_of_its_images(series: str, arch: str) -> None:
    recipes = [natively(made, arch) for made in recipes_of(SHIPPED).values() if made.series == series]
    wanted = {package for made in recipes for package in made.packages}
    repository = repositories(SHIPPED, Scope(kernels=(f"debian-{series}-{arch}/*",)))[f"{series} main"]
    asked = Wanted(names=frozenset(wanted), arches=(arch,))
    found = repository.index.look(Fetcher(), repository.mirrors[0], asked, "", datetime.now(UTC)).listed or ()
    assert {package.name for package in found} == wanted
