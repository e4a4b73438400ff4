"""From what somebody pastes to a kernel."""

import pytest
from kmodci.errors import NotFound
from kmodci.kernelview import find, followed, meant, modules_of
from kmodci.model import Kernel, Status, Target
from kmodci.release import BadName
from support.boards import board
from support.kernels import headers

RELEASE = "6.1.0-50-amd64"
NAME = f"debian-bookworm-amd64/{RELEASE}"


def kernel(target: str, release: str, version: str, *, gone: float = 0.0) -> Kernel:
    return Kernel(
        target=Target.parse(target),
        release=release,
        version=version,
        flavour="generic",
        toolchain="gcc-14",
        repository="main",
        headers=(headers(release, version),),
        gone=gone,
    )


@pytest.mark.parametrize(
    "text",
    [
        RELEASE,
        NAME,
        f"  {RELEASE}\n",
        f"Linux node {RELEASE} #1 SMP PREEMPT_DYNAMIC Debian 6.1.1-1 (2024-11-22) x86_64 GNU/Linux",
    ],
)
def test_one_kernel_is_meant(text: str) -> None:
    assert [str(each) for each in meant(text, board()).kernels] == [NAME]


def test_the_same_release_in_several_series_is_a_choice_that_the_upload_makes() -> None:
    both = [
        kernel("ubuntu-noble-amd64", "6.8.0-49-generic", "6.8.0-49.49"),
        kernel("ubuntu-jammy-amd64", "6.8.0-49-generic", "6.8.0-49.49~22.04.1"),
        kernel("ubuntu-jammy-arm64", "6.8.0-49-generic", "6.8.0-49.49~22.04.1"),
    ]
    of = board(among=both)

    def targets(text: str) -> list[str]:
        return [str(each.target) for each in meant(text, of).kernels]

    assert targets("6.8.0-49-generic") == ["ubuntu-jammy-amd64", "ubuntu-jammy-arm64", "ubuntu-noble-amd64"]
    assert targets("6.8.0-49-generic x86_64") == ["ubuntu-jammy-amd64", "ubuntu-noble-amd64"]
    end = "SMP PREEMPT_DYNAMIC Wed Nov  6 17:42:15 UTC 2 x86_64 x86_64 x86_64 GNU/Linux"
    assert targets(f"Linux n 6.8.0-49-generic #49~22.04.1-Ubuntu {end}") == ["ubuntu-jammy-amd64"]
    assert targets(f"Linux n 6.8.0-49-generic #49-Ubuntu {end}") == ["ubuntu-noble-amd64"]
    # an upload that no index lists any more does not hide the release
    assert len(targets(f"Linux n 6.8.0-49-generic #48-Ubuntu {end}")) == 2


def test_what_is_listed_comes_before_what_is_gone() -> None:
    of = board(among=[kernel("a-a-amd64", "6.1.0-1", "1", gone=5.0), kernel("b-b-amd64", "6.1.0-1", "1")])
    assert [each.target.distro for each in meant("6.1.0-1", of).kernels] == ["b", "a"]


def test_of_an_unknown_one_the_nearest_are_told() -> None:
    found = meant("6.1.0-5O-amd64", board())
    assert found.kernels == () and found.asked.release == "6.1.0-5O-amd64"
    assert RELEASE in [each.release for each in found.nearest] and len(found.nearest) >= 3
    assert meant("9.9", board()).nearest == ()


@pytest.mark.parametrize("text", ["", "hello", "<script>alert(1)</script>", "../../etc/passwd", "6" * 5000])
def test_what_is_no_kernel_release_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        meant(text, board())


def test_a_kernel_has_every_module_of_the_matrix() -> None:
    of = board(
        {f"loop/{NAME}": (Status.BUILT, ""), f"scap/{NAME}": (Status.FAILED, "error: no")},
        modules=("loop", "scap", "third"),
        queue={f"third/{NAME}": 3},
        waiting={f"third/{NAME}": "no image"},
    )
    found = modules_of(find("debian-bookworm-amd64", RELEASE, of), of)
    assert [(line.module, line.state, line.reason, line.place, bool(line.entry)) for line in found] == [
        ("loop", "built", "", 0, True),
        ("scap", "failed", "error: no", 0, False),
        ("third", "pending", "no image", 3, False),
    ]


def test_what_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(NotFound) as refused:
        find("debian-bookworm-amd64", "6.1.0-5O-amd64", board())
    assert "the nearest are: debian-bookworm-amd64/6.1.0-5" in refused.value.hint


def test_what_is_followed_is_counted() -> None:
    of = board()
    assert sum(followed(of).values()) == len(of.kernels) and followed(of)["debian-sid-arm64"] > 0
