from datetime import UTC, datetime

import pytest
from kmodci.discovery import Look, Repository, look
from kmodci.fetch import Fetcher
from kmodci.release import BadName
from kmodci.repos.base import Group
from kmodci.repos.listed import ListedIndex, group_of

BASE = "https://archive.example.org/linux"
HEADERS = (
    (f"{BASE}/linux-headers-6.1.0-18-amd64_6.1.76-1_amd64.deb", "1" * 64),
    (f"{BASE}/linux-headers-6.1.0-18-common_6.1.76-1_all.deb", "2" * 64),
    (f"{BASE}/linux-kbuild-6.1_6.1.76-1_amd64.deb", "3" * 64),
)


def looked(*groups: Group, known: str = "") -> Look:
    where = Repository(
        name="kept",
        distro="debian",
        series="bookworm",
        arches=("amd64",),
        index=ListedIndex(groups=groups),
        mirrors=("targets.yml",),
        compiler="gcc-12",
    )
    return look(where, Fetcher(), known_digest=known, now=datetime.now(UTC))


def test_a_kernel_is_what_its_headers_are_called() -> None:
    found = looked(group_of("kept", HEADERS, ("amd64",)))
    [kernel] = found.kernels
    assert str(kernel) == "debian-bookworm-amd64/6.1.0-18-amd64"
    assert (kernel.version, kernel.flavour, kernel.repository) == ("6.1.76-1", "amd64", "kept")
    assert [package.sha256[0] for package in kernel.headers] == ["1", "2", "3"]
    assert found.problems == ()


def test_what_is_written_differently_is_a_change() -> None:
    group = group_of("kept", HEADERS, ("amd64",))
    first = looked(group)
    assert not looked(group, known=first.release_digest).changed
    other = group_of("kept", [*HEADERS[:2], (HEADERS[2][0], "4" * 64)], ("amd64",))
    assert looked(other, known=first.release_digest).changed


def test_the_same_in_another_order_is_the_same_kernel() -> None:
    assert (
        looked(group_of("kept", HEADERS[::-1], ("amd64",))).kernels
        == looked(group_of("kept", HEADERS, ("amd64",))).kernels
    )


def test_what_is_no_package() -> None:
    with pytest.raises(BadName, match="not the file name of a package"):
        group_of("kept", [("https://archive.example.org/linux.tar.xz", "0" * 64)], ("amd64",))
