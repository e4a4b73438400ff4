from dataclasses import replace

import pytest
from kmodci.errors import BuildImpossible
from kmodci.images import Recipe, recipe
from kmodci.release import BadName


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
