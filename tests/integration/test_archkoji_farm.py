"""A farm that follows Arch, its archive, and Fedora's Koji: poll, bundle, build, verify, bucket.

The headers are real ones of Debian, packed as Arch and Fedora pack their own, and signed. One kernel is in `core`; one
was there yesterday, and is in the archive alone; one is in no repository, and in Koji.
"""

import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from benchmarks.aptrepo import archive_key
from benchmarks.rpmrepo import make_kernel_rpm, sign_rpm
from kmodci.elf import parse
from kmodci.manifest import IndexEntry
from support.farm import LiveFarm, live_farm, source
from support.headertrees import flat_tree
from support.kojihub import KojiHub
from support.pacmanrepo import PacmanRepo, headers_package, make_package
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(400)]

KEY = "105ef944"
FEDORA = "6.15.3-200.fc42"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A kernel as a distribution has it."""

    target: str
    release: str
    version: str
    flavour: str
    repository: str
    package: str
    like: str
    """of the kernels of these tests"""


CURRENT = Case(
    target="arch-rolling-amd64",
    release="6.12.8-arch1-1",
    version="6.12.8.arch1-1",
    flavour="linux",
    repository="core",
    package="linux-headers",
    like="new",
)
DROPPED = Case(
    target="arch-rolling-amd64",
    release="6.6.69-1-lts",
    version="6.6.69-1",
    flavour="lts",
    repository="core archive",
    package="linux-lts-headers",
    like="old",
)
BUILT = Case(
    target="fedora-42-amd64",
    release=f"{FEDORA}.x86_64",
    version=FEDORA,
    flavour="default",
    repository="koji",
    package="kernel-devel",
    like="old",
)


def compiler(kernel: RealKernel) -> str:
    """What CONFIG_CC_VERSION_TEXT says where gcc is not called by a version: of the kernel's own."""
    return f"gcc (GCC) {kernel.toolchain.removeprefix('gcc-')}.2.1 20250101"


@pytest.fixture(scope="module")
def arch(tmp_path_factory: pytest.TempPathFactory, kernels: dict[str, RealKernel]) -> Iterator[PacmanRepo]:
    folder = tmp_path_factory.mktemp("arch")
    with PacmanRepo(folder, key=archive_key()) as repo:
        for case in (DROPPED, CURRENT):
            kernel = kernels[case.like]
            tree = flat_tree(kernel, folder / case.release, case.release, compiler=compiler(kernel))
            # as Arch has it, for BTF; a build that sees this one fails
            (tree / "vmlinux").write_bytes(b"the kernel itself")
            trees = {f"usr/lib/modules/{case.release}/build": tree}
            repo.add(make_package(folder, case.package, case.version, trees=trees))
            repo.archive(yesterday())
        repo.drop(DROPPED.package)
        yield repo


def yesterday() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, kernels: dict[str, RealKernel]) -> Iterator[KojiHub]:
    folder = tmp_path_factory.mktemp("koji")
    kernel = kernels[BUILT.like]
    root = folder / "root"
    place = root / "usr/src/kernels" / BUILT.release
    place.parent.mkdir(parents=True)
    flat_tree(kernel, place, BUILT.release, compiler=compiler(kernel))
    rpm = make_kernel_rpm(folder / "built", *FEDORA.split("-"), tree=root)
    (folder / "signed").mkdir()
    copy = folder / "signed" / rpm.name
    copy.write_bytes(rpm.read_bytes())
    sign_rpm(copy, archive_key())
    with KojiHub(folder) as hub:
        hub.add(FEDORA, [rpm], completed=yesterday().timestamp(), signed={KEY: [copy]})
        yield hub


@pytest.fixture(scope="module")
def farm(folder: Path, arch: PacmanRepo, hub: KojiHub) -> Iterator[LiveFarm]:
    signed = {"signed": "packages", "keyring": str(archive_key().keyring)}
    core = {"pacman": "core", "mirror": arch.url, **signed}
    koji = {
        "name": "koji",
        "koji": "kernel",
        "hub": hub.url,
        "files": hub.files,
        "builds": "*.fc42",
        "key": KEY,
        "insecure": "true",
        "reason": "it is on loopback",
        **signed,
    }
    targets = [
        {
            "distro": "arch",
            "series": "rolling",
            "arches": ["amd64"],
            "compiler": "gcc-14",
            "repositories": [core, {**core, "archive_since": f"{yesterday():%Y-%m-%d}"}],
        },
        {"distro": "fedora", "series": "42", "arches": ["amd64"], "compiler": "gcc-14", "repositories": [koji]},
    ]
    include = [f"{case.target}/{case.release}" for case in (CURRENT, DROPPED, BUILT)]
    modules = {"hello": source("hello", kernels={"include": include})}
    with live_farm(folder, None, modules, targets=targets) as made:
        made.up()
        yield made


@pytest.mark.parametrize("case", [CURRENT, DROPPED, BUILT], ids=["arch", "archive", "koji"])
def test_a_kernel_goes_the_whole_way(farm: LiveFarm, kernels: dict[str, RealKernel], case: Case) -> None:
    outcome = farm.await_built(f"hello/{case.target}/{case.release}", seconds=240)
    manifest = farm.manifest(outcome)
    # the compiler is the one that the headers name, and not what is written down for the series
    assert (manifest.kernel_version, manifest.toolchain) == (case.version, kernels[case.like].toolchain)
    assert [package.name for package in manifest.packages] == [case.package]
    assert len(manifest.packages[0].sha256) == 64
    kernel = farm.store.kernels()[f"{case.target}/{case.release}"]
    assert (kernel.repository, kernel.flavour) == (f"{case.target} {case.repository}", case.flavour)
    distro = case.target.partition("-")[0]
    data = farm.bucket.get(f"index/hello/1.0/{distro}/amd64/{case.release}.json")
    assert data is not None
    [file] = IndexEntry.model_validate_json(data).files
    content = farm.bucket.get(file.key)
    assert content is not None
    ko = lzma.decompress(content) if file.name.endswith(".xz") else content
    assert parse(ko).info("vermagic").split()[0] == case.release


def test_what_is_known_is_not_asked_for_again(farm: LiveFarm, arch: PacmanRepo, hub: KojiHub) -> None:
    for case in (CURRENT, DROPPED, BUILT):
        farm.await_built(f"hello/{case.target}/{case.release}", seconds=240)
    asked = [path for path in arch.server.requests if path.startswith("/repos/")]
    assert len(asked) == 1
    hub.calls.clear()
    farm.until(lambda: len(hub.calls) >= 6)
    assert {name for name, _, _ in hub.calls} == {"getPackageID", "listBuilds"}
    assert all(named["queryOpts"]["limit"] == 1 for name, _, named in hub.calls if name == "listBuilds")


def test_a_kernel_that_core_drops_is_not_built_again(farm: LiveFarm, arch: PacmanRepo, tmp_path: Path) -> None:
    """It is the same in the archive: what it is made of has the same checksum."""
    name = f"{CURRENT.target}/{CURRENT.release}"
    farm.await_built(f"hello/{name}", seconds=240)
    before = farm.store.kernels()[name]
    arch.add(headers_package(tmp_path, "linux-zen-headers", "6.12.8.zen1-1", "6.12.8-zen1-1-zen"))
    arch.drop(CURRENT.package)
    farm.until(lambda: f"{CURRENT.target}/6.12.8-zen1-1-zen" in farm.store.kernels())
    after = farm.store.kernels()[name]
    assert (after.headers_digest, after.version) == (before.headers_digest, before.version)
    assert len(farm.builds(f"hello/{name}")) == 1
