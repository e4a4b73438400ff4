"""The list that others read, of the kernels of Debian as recorded (tests/data/debian), and of a few made up."""

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kmodci.discovery import Repository, look, merge
from kmodci.distros import DISTROS, Place
from kmodci.fetch import Fetcher
from kmodci.kernellist import kernel_list, kernel_version
from kmodci.model import Kernel, Package, Target
from kmodci.repos.crawler import CrawlerIndex
from kmodci.repos.crawlerlist import list_name
from support.debian import SUITES, stanzas

ARCHES = ("amd64", "arm64")


def debian() -> tuple[Kernel, ...]:
    """All of them, each once."""
    listed = []
    for suite, series in SUITES.items():
        place = Place(distro="debian", series=series, repository=f"{suite} main", arches=ARCHES)
        listed.append(DISTROS["debian"].kernels(stanzas(suite, *ARCHES), place).kernels)
    return merge(listed)


def made(release: str, version: str, flavour: str, *, distro: str, series: str = "9", arch: str = "amd64") -> Kernel:
    header = Package(
        name="h", version=version, arch=arch, url=f"http://a/{release}_{arch}.deb", size=1, sha256="0" * 64
    )
    return Kernel(
        target=Target(distro=distro, series=series, arch=arch),
        release=release,
        version=version,
        flavour=flavour,
        toolchain="gcc-12",
        repository="a",
        headers=(header,),
    )


def imported(kernels: Iterable[Kernel], folder: Path) -> tuple[Kernel, ...]:
    """What our own list makes where it is read."""
    for arch, machine in zip(ARCHES, ("x86_64", "aarch64"), strict=True):
        (folder / f"{machine}.json").write_bytes(kernel_list(kernels, arch))
    repository = Repository(
        name="ours",
        distro="debian",
        series="all",
        arches=ARCHES,
        index=CrawlerIndex(distribution="debian"),
        mirrors=(f"{folder}/$basearch.json",),
        compiler="gcc-12",
    )
    found = look(repository, Fetcher(), now=datetime.now(UTC))
    assert found.changed
    return found.kernels


def essence(kernels: Iterable[Kernel]) -> set[tuple[object, ...]]:
    """What a list can say of kernels."""
    return {
        (k.target.arch, k.release, k.version, k.flavour, tuple((p.name, p.version, p.arch, p.url) for p in k.headers))
        for k in kernels
    }


def test_what_is_exported_and_imported_are_the_same_kernels(tmp_path: Path) -> None:
    kernels = debian()
    again = imported(kernels, tmp_path)
    assert essence(again) == essence(kernels)
    assert len(again) == len(kernels) > 200
    # and a list of these is the same list
    for arch in ARCHES:
        assert kernel_list(again, arch) == kernel_list(kernels, arch)


def test_the_same_kernels_are_the_same_bytes() -> None:
    kernels = list(debian())
    first = [kernel_list(kernels, arch) for arch in ARCHES]
    random.Random(4).shuffle(kernels)
    assert [kernel_list(kernels, arch) for arch in ARCHES] == first


def test_an_entry() -> None:
    document = json.loads(kernel_list(debian(), "amd64"))
    assert list(document) == ["debian"]
    [entry] = [each for each in document["debian"] if each["kernelrelease"] == "6.1.0-50-rt-amd64"]
    assert entry["headers"] == sorted(entry["headers"])
    assert [url.rpartition("/")[2] for url in entry["headers"]] == [
        "linux-headers-6.1.0-50-common-rt_6.1.176-1_all.deb",
        "linux-headers-6.1.0-50-rt-amd64_6.1.176-1_amd64.deb",
        "linux-kbuild-6.1_6.1.176-1_amd64.deb",
    ]
    assert {**entry, "headers": []} == {
        "kernelversion": "1",
        "kernelrelease": "6.1.0-50-rt-amd64",
        "target": "debian",
        "headers": [],
    }
    releases = [each["kernelrelease"] for each in document["debian"]]
    assert releases.index("5.10.0-32-amd64") < releases.index("6.1.0-50-amd64") < releases.index("6.12.117+deb13-amd64")


@pytest.mark.parametrize(
    ("kernel", "name", "target", "version"),
    [
        (made("6.8.0-31-generic", "6.8.0-31.31", "generic", distro="ubuntu", series="noble"), "ubuntu", "", "31"),
        (
            made("6.11.0-17-generic", "6.11.0-17.17~24.04.2", "generic", distro="ubuntu", series="noble"),
            "ubuntu",
            "ubuntu-generic",
            "17~24.04.2",
        ),
        (
            made("6.8.0-1015-azure-fde", "6.8.0-1015.17", "azure-fde", distro="ubuntu", series="noble"),
            "ubuntu",
            "ubuntu-azure-fde",
            "17",
        ),
        (made("5.14.0-427.el9.x86_64", "5.14.0-427.el9", "default", distro="rhel"), "redhat", "redhat", "1"),
        (made("5.15.0-205.149.el9uek.x86_64", "5.15.0-205.149.el9uek", "uek", distro="ol"), "ol", "ol", "2"),
        (
            made("6.12.58-82.121.amzn2023.x86_64", "6.12.58-82.121.amzn2023", "6.12", distro="amzn", series="2023"),
            "amazonlinux2023",
            "amazonlinux2023",
            "1",
        ),
        (made("6.12.7-arch1-1", "6.12.7.arch1-1", "linux", distro="arch", series="rolling"), "arch", "arch", "1"),
    ],
)
def test_what_others_call_it(kernel: Kernel, name: str, target: str, version: str) -> None:
    document = json.loads(kernel_list([kernel], "amd64"))
    assert list(document) == [name] == [list_name(kernel.target.distro, kernel.target.series)]
    [entry] = document[name]
    assert entry["target"] == (target or "ubuntu-generic")
    assert (entry["kernelrelease"], entry["kernelversion"]) == (kernel.release, version)
    assert kernel_version(kernel) == version


def test_packages_that_are_named_by_a_list_of_mirrors_are_listed_at_one_of_them() -> None:
    """Who reads our list knows nothing of how we name them."""
    kernel = made("6.12.58-82.amzn2023.x86_64", "6.12.58-82.amzn2023", "6.12", distro="amzn", series="2023")
    url = "https://cdn.example.org/latest/x86_64/mirror.list#x86_64:../../../../blobstore/ab/kernel6.12-devel.rpm"
    kernel = replace(kernel, repository="core", headers=(replace(kernel.headers[0], url=url),))
    bases = {"core": "https://cdn.example.org/al2023/core/guids/8a6f/x86_64"}
    document = json.loads(kernel_list([kernel], "amd64", bases))
    [entry] = document["amazonlinux2023"]
    assert entry["headers"] == ["https://cdn.example.org/al2023/blobstore/ab/kernel6.12-devel.rpm"]
    # where none is known, nobody could fetch it
    assert kernel_list([kernel], "amd64", {"other": "https://x"}) == b"{}\n"


def test_what_is_gone_is_not_listed() -> None:
    kernel = made("5.14.0-427.el9.x86_64", "5.14.0-427.el9", "default", distro="rocky")
    assert kernel_list([replace(kernel, gone=1.0)], "amd64") == b"{}\n"


def test_only_kernels_of_the_architecture_and_each_once() -> None:
    kernel = made("5.14.0-427.el9.x86_64", "5.14.0-427.el9", "default", distro="rocky")
    other = made("5.14.0-427.el9.aarch64", "5.14.0-427.el9", "default", distro="rocky", arch="arm64")
    again = made("5.14.0-427.el9.x86_64", "5.14.0-427.el9", "default", distro="rocky", series="10")
    document = json.loads(kernel_list([kernel, other, again], "amd64"))
    assert [entry["kernelrelease"] for entry in document["rocky"]] == ["5.14.0-427.el9.x86_64"]
    assert kernel_list([other], "amd64") == b"{}\n"
