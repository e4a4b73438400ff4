"""A repository as Ubuntu lays out its own, made by apt-ftparchive: pockets, components, an index per architecture."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo, make_deb
from kmodci.discovery import Look, Repository, look
from kmodci.errors import IndexDamaged
from kmodci.fetch import Fetcher
from kmodci.repos.apt import AptIndex

pytestmark = pytest.mark.slow

HWE, LOWLATENCY = "6.11.0-17-generic", "6.8.0-31-lowlatency"


def add(repo: AptRepo, folder: Path, release: str, shared: str, *components: str, **more: str) -> None:
    """A kernel's two packages, of that source, with nothing in them. components: of the one, and of the other."""
    version, arch = more.get("version", "6.8.0-31.31"), more.get("arch", "amd64")
    fields = {"Source": shared.partition("-headers-")[0]}
    own = make_deb(
        folder, f"linux-headers-{release}", version=version, arch=arch, fields=fields | {"Depends": f"{shared}, libc6"}
    )
    common = make_deb(folder, shared, version=version, arch=more.get("shared_arch", "all"), fields=fields)
    for deb, component in zip((own, common), components or ("main", "main"), strict=True):
        repo.add(deb, component)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    repo = made(folder)
    add(repo, folder, HWE, "linux-hwe-6.11-headers-6.11.0-17", version="6.11.0-17.17~24.04.2")
    add(repo, folder, LOWLATENCY, "linux-lowlatency-headers-6.8.0-31", "universe", "main")
    repo.add(make_deb(folder, "linux-headers-generic", version="6.8.0-31.31", arch="amd64"))
    repo.add(make_deb(folder, "linux-hwe-6.11-tools-6.11.0-17", version="6.11.0-17.17", arch="amd64"), "universe")
    repo.publish(valid_for=None)
    return repo.root


def made(folder: Path, *arches: str) -> AptRepo:
    return AptRepo(
        folder,
        suite="noble-updates",
        codename="noble",
        label="Ubuntu",
        arches=arches or ("amd64",),
        components=("main", "restricted", "universe", "multiverse"),
    )


@pytest.fixture
def repo(tmp_path: Path, published: Path) -> Iterator[AptRepo]:
    shutil.copytree(published, tmp_path / "mirror")
    with made(tmp_path) as repo:
        yield repo


def repository(repo: AptRepo, suite: str = "noble-updates") -> Repository:
    return Repository(
        name=f"{suite} main universe",
        distro="ubuntu",
        series="noble",
        arches=repo.arches,
        index=AptIndex(suite=suite, components=repo.components, keyrings=(repo.keyring,)),
        mirrors=(repo.url,),
        compiler="gcc-13",
    )


def looked(where: Repository, known: str = "") -> Look:
    return look(where, Fetcher(timeout=5, retries=0), known_digest=known, now=datetime.now(UTC))


def test_kernels_of_all_components(repo: AptRepo) -> None:
    found = looked(repository(repo))
    assert found.problems == ()
    assert {kernel.release: kernel.version for kernel in found.kernels} == {
        HWE: "6.11.0-17.17~24.04.2",
        LOWLATENCY: "6.8.0-31.31",
    }
    urls = {
        kernel.release: [header.url.removeprefix(repo.url) for header in kernel.headers] for kernel in found.kernels
    }
    assert urls[LOWLATENCY] == [
        "/pool-universe/linux-headers-6.8.0-31-lowlatency_6.8.0-31.31_amd64.deb",
        "/pool/linux-lowlatency-headers-6.8.0-31_6.8.0-31.31_all.deb",
    ]
    assert not looked(repository(repo), found.release_digest).changed


def test_what_changes_in_any_component_is_a_change(repo: AptRepo, tmp_path: Path) -> None:
    first = looked(repository(repo))
    add(repo, tmp_path, "6.8.0-32-lowlatency", "linux-lowlatency-headers-6.8.0-32", "universe", "universe")
    repo.publish(valid_for=None)
    found = looked(repository(repo), first.release_digest)
    assert len(found.kernels) == 3


def test_a_pocket_is_not_taken_for_the_release(repo: AptRepo) -> None:
    """Both say that their codename is noble."""
    (repo.root / "dists" / "noble").symlink_to(repo.dist)
    with pytest.raises(IndexDamaged, match="the suite 'noble-updates', not 'noble'"):
        looked(repository(repo, "noble"))


def test_another_mirror_for_arm64(tmp_path: Path) -> None:
    """As ports.ubuntu.com is; headers that all flavours share are for arm64 alone, with some kernels."""
    with made(tmp_path, "arm64") as ports:
        add(ports, tmp_path, "6.8.0-1013-raspi", "linux-raspi-headers-6.8.0-1013", arch="arm64", shared_arch="arm64")
        add(ports, tmp_path, "6.8.0-31-generic-64k", "linux-headers-6.8.0-31", arch="arm64")
        ports.publish(valid_for=None)
        found = looked(repository(ports))
        assert found.problems == ()
        assert {(str(kernel.target), kernel.flavour) for kernel in found.kernels} == {
            ("ubuntu-noble-arm64", "raspi"),
            ("ubuntu-noble-arm64", "generic-64k"),
        }
        with pytest.raises(IndexDamaged, match="does not list main/binary-amd64/Packages"):
            looked(replace(repository(ports), arches=("amd64",)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"Package: linux-headers-{HWE}", "Package: linux-headers-../../x"),
        (f"Package: linux-headers-{HWE}", "Package: linux-../../headers-x"),
        (f"Package: linux-headers-{HWE}", "Package: linux-headers-6.11.0-17-$(id)"),
        (f"Package: linux-headers-{HWE}", "Package: linux-headers-6.11.0-17-generic;reboot"),
        (f"Package: linux-headers-{HWE}", "Package: linux-headers-6.11.0-17-`id`"),
        (f"Package: linux-headers-{HWE}", "Package: linux-headers-6.11.0-17-gen eric"),
        ("Version: 6.11.0-17.17~24.04.2", "Version: 6.11.0-17.17/../../x"),
        ("Filename: pool/", "Filename: ../../"),
        (f"Package: linux-headers-{HWE}", "Package: linux-headers-6.12~rc1-generic"),
    ],
)
def test_a_hostile_or_odd_package_is_reported_and_hurts_no_other(repo: AptRepo, old: str, new: str) -> None:
    stanza = next(
        each for each in repo.packages("amd64").split("\n\n") if each.startswith(f"Package: linux-headers-{HWE}")
    )
    assert old in stanza
    repo.publish(valid_for=None, extra={"amd64": f"\n{stanza.replace(old, new)}\n\n"})
    found = looked(repository(repo))
    assert {kernel.release for kernel in found.kernels} == {HWE, LOWLATENCY}
    (problem,) = found.problems
    assert problem.isprintable()
