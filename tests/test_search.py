import pytest
from kmodci.errors import NotFound
from kmodci.release import BadName
from kmodci.search import find_build, find_kernel, find_module
from support.kernels import kernels

KERNELS = {str(kernel): kernel for kernel in kernels()}
MODULES = ("v4l2loopback", "scap")


def test_a_kernel_is_found_by_target_and_release_or_by_a_release_alone() -> None:
    kernel = KERNELS["debian-bookworm-amd64/6.1.0-56-amd64"]
    assert find_kernel("debian-bookworm-amd64/6.1.0-56-amd64", KERNELS, among="is here") is kernel
    assert find_kernel("6.1.0-56-amd64", KERNELS, among="is here") is kernel


def test_a_release_of_two_targets_has_to_be_said_with_its_target() -> None:
    twice = {"debian-sid-amd64/7.2-amd64": 1, "debian-forky-amd64/7.2-amd64": 2}
    with pytest.raises(NotFound) as told:
        find_kernel("7.2-amd64", twice, among="is here")
    assert told.value.hint == "say which: debian-sid-amd64/7.2-amd64, debian-forky-amd64/7.2-amd64"


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("6.1.0-57-amd64", "6.1.0-5"),
        ("debian-bookworm-arm64/6.1.0-57-arm64", "debian-bookworm-arm64/6.1.0-5"),
        ("debian-bokworm-amd64/6.1.0-56-amd64", "debian-bookworm-amd64/6.1.0-56-amd64"),
    ],
)
def test_an_unknown_kernel_is_told_with_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(NotFound) as told:
        find_kernel(wrong, KERNELS, among="is in the matrix of scap")
    assert told.value.brief == f"no kernel {wrong!r} is in the matrix of scap"
    assert told.value.hint.startswith(f"the nearest are: {near}")


def test_what_is_like_nothing_gets_a_way_to_look() -> None:
    with pytest.raises(NotFound) as told:
        find_kernel("$(reboot)" * 10_000, KERNELS, among="is here")
    assert "`kmodci kernels`" in told.value.hint
    assert len(told.value.brief) < 200


def test_modules_and_builds() -> None:
    assert find_module("scap", MODULES) == "scap"
    with pytest.raises(NotFound, match=r"no module 'scop' \(did you mean 'scap'\?\)"):
        find_module("scop", MODULES)
    text = "scap/debian-bookworm-amd64/6.1.0-56-amd64"
    assert str(find_build(text, MODULES, KERNELS)) == text
    with pytest.raises(NotFound, match="no module 'skap'"):
        find_build(text.replace("scap", "skap"), MODULES, KERNELS)
    with pytest.raises(NotFound, match="by any repository"):
        find_build(text.replace("-56-", "-99-"), MODULES, KERNELS)
    with pytest.raises(BadName):
        find_build("scap/6.1.0-56-amd64", MODULES, KERNELS)
