"""One farm that follows AlmaLinux and Fedora: real kernels, in packages and repositories as rpm's own tools make them,
from the poll into the bucket."""

import lzma
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.rpmrepo import RpmRepo, make_kernel_rpm, sign_rpm
from kmodci.elf import parse
from kmodci.manifest import IndexEntry
from kmodci.model import BuildId
from support.farm import LiveFarm, live_farm, source
from support.headertrees import flat_tree
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(600)]

# what Red Hat's compilers call themselves; their numbers are those of the compilers that built these kernels
GCC_12 = "gcc (GCC) 12.2.1 20221121 (Red Hat 12.2.1-4)"
GCC_14 = "gcc (GCC) 14.2.1 20250110 (Red Hat 14.2.1-7)"
EL9, EL9_RT = "5.14.0-503.el9.x86_64", "5.14.0-570.12.1.el9_6.x86_64+rt"
FC43 = "6.17.1-300.fc43.x86_64"


def packaged(kernel: RealKernel, folder: Path, uname: str, compiler: str, *, name: str = "kernel-devel") -> Path:
    """A real kernel's headers as a package, not signed."""
    flat_tree(kernel, folder / f"root/usr/src/kernels/{uname}", uname, compiler=compiler)
    version, release = uname.rpartition(".x86_64")[0].split("-", 1)
    return make_kernel_rpm(folder, version, release, name=name, uname=uname, tree=folder / "root", payload="zstd")


@pytest.fixture(scope="module")
def alma(tmp_path_factory: pytest.TempPathFactory, kernels: dict[str, RealKernel]) -> Iterator[RpmRepo]:
    """Signed packages. Of arm64 there is none."""
    folder = tmp_path_factory.mktemp("alma")
    with RpmRepo(folder, path="9/AppStream/x86_64/os") as made:
        made.add(sign_rpm(packaged(kernels["old-cloud"], folder / "el9", EL9, GCC_12), made.key))
        made.publish(database=True)
        yield made


@pytest.fixture(scope="module")
def fedora(tmp_path_factory: pytest.TempPathFactory, kernels: dict[str, RealKernel]) -> Iterator[RpmRepo]:
    """A signed index."""
    folder = tmp_path_factory.mktemp("fedora")
    with RpmRepo(folder, path="updates/43/Everything/x86_64") as made:
        made.add(packaged(kernels["new-cloud"], folder / "fc43", FC43, GCC_14))
        made.publish(compression="zstd", sign=True)
        yield made


@pytest.fixture(scope="module")
def farm(folder: Path, alma: RpmRepo, fedora: RpmRepo) -> Iterator[LiveFarm]:
    appstream = {"name": "appstream", "rpm": "9/AppStream/$basearch/os", "signed": "packages"}
    updates = {"name": "updates", "rpm": f"{fedora.url}/updates/43/Everything/$basearch", "signed": "index"}
    targets = [
        {
            "distro": "almalinux",
            "series": "9",
            "arches": ["amd64", "arm64"],
            "compiler": "gcc-11",
            "repositories": [{**appstream, "keyring": str(alma.keyring)}],
        },
        {
            "distro": "fedora",
            "series": "43",
            "arches": ["amd64"],
            "compiler": "gcc-11",
            "repositories": [{**updates, "keyring": str(fedora.keyring)}],
        },
    ]
    mirrors = {"almalinux": alma.url}
    with live_farm(folder, None, {"hello": source("hello")}, targets=targets, mirrors=mirrors) as made:
        made.up()
        yield made


@pytest.mark.parametrize(
    ("distro", "series", "release", "toolchain"),
    [("almalinux", "9", EL9, "gcc-12"), ("fedora", "43", FC43, "gcc-14")],
)
def test_a_kernel_goes_all_the_way(farm: LiveFarm, distro: str, series: str, release: str, toolchain: str) -> None:
    outcome = farm.await_built(f"hello/{distro}-{series}-amd64/{release}", seconds=300)
    data = farm.bucket.get(f"index/hello/1.0/{distro}/amd64/{release}.json")
    assert data is not None
    entry = IndexEntry.model_validate_json(data)
    assert (entry.release, entry.series, entry.manifest) == (release, series, outcome.manifest)
    [file] = entry.files
    content = farm.bucket.get(file.key)
    assert content is not None
    ko = lzma.decompress(content) if file.name.endswith(".xz") else content
    assert parse(ko).info("vermagic").split()[0] == release
    manifest = farm.manifest(outcome)
    # as the headers say, and not as the series' default has it
    assert (manifest.toolchain, manifest.exact) == (toolchain, True)
    assert [package.name for package in manifest.packages] == ["kernel-devel"]


def test_an_architecture_without_a_repository_takes_nothing_else_down(farm: LiveFarm) -> None:
    arm = farm.until(
        lambda: state if (state := farm.store.repository_state("almalinux-9-arm64 appstream")).error else None
    )
    assert "404" in arm.error
    amd = farm.store.repository_state("almalinux-9-amd64 appstream")
    assert (amd.error, amd.problems) == ("", ())


def test_what_is_published_later_is_built_and_what_nobody_signed_is_not(
    farm: LiveFarm, alma: RpmRepo, kernels: dict[str, RealKernel], tmp_path: Path
) -> None:
    farm.await_built(f"hello/almalinux-9-amd64/{EL9}", seconds=300)
    realtime = packaged(kernels["old"], tmp_path / "rt", EL9_RT, GCC_12, name="kernel-rt-devel")
    unsigned = make_kernel_rpm(tmp_path / "unsigned", "5.14.0", "999.el9")
    hostile = make_kernel_rpm(tmp_path / "hostile", "5.14.0", "1000.el9", uname="5.14.0-1000.el9.HOSTILE")
    alma.add(sign_rpm(realtime, alma.key))
    for rpm in (unsigned, hostile):
        alma.add(rpm)
    alma.publish()
    # rpmbuild refuses to make such a one
    alma.rewrite("1000.el9.HOSTILE", "1000.el9.$(reboot)")

    built = farm.await_built(f"hello/almalinux-9-amd64/{EL9_RT}", seconds=300)
    assert farm.manifest(built).packages[0].name == "kernel-rt-devel"
    refused = BuildId.parse("hello/almalinux-9-amd64/5.14.0-999.el9.x86_64")
    hold = farm.until(lambda: farm.runs.hold(refused), seconds=300)
    assert hold.reason.endswith(": kernel-devel 5.14.0-999.el9: the package is not signed")
    assert farm.store.outcome(refused) is None
    name = "almalinux-9-amd64 appstream"
    problems = farm.until(lambda: farm.store.repository_state(name).problems)
    assert problems == ("'kernel-devel': not a package release: '1000.el9.$(reboot)'",)
