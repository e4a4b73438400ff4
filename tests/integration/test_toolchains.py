"""Kernels whose packages name no compiler: that of their series is assumed, and another learned from their headers."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.rpmrepo import RpmRepo, make_kernel_rpm
from kmodci.images import recipe
from kmodci.model import Evidence
from kmodci.runs import Ending, RunEntry
from support.farm import LiveFarm, live_farm, source
from support.headertrees import flat_tree, name_compiler, rename_kernel
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(600)]

TARGET = "almalinux-9-amd64"
ASSUMED = "gcc-14"
# what nobody else makes of it: that image is not on the engine
UNMADE = recipe("gcc-13", distro="debian", series="sid")
COMPILERS = {
    "5.14.0-2.el9.x86_64": "gcc (GCC) 12.2.1 20221121 (Red Hat 12.2.1-4)",
    "5.14.0-3.el9.x86_64": "gcc (GCC) 13.3.1 20240611 (Red Hat 13.3.1-2)",
    "5.14.0-4.el9.x86_64": "clang version 19.1.7 (Red Hat 19.1.7-1)",
    "5.14.0-5.el9.x86_64": "gcc (GCC) 10.2.1 20210130 (Red Hat 10.2.1-11)",
}
NEITHER = "no toolchain clang-19 in targets.yml, nor a newer one"


@pytest.fixture(scope="module")
def rpms(tmp_path_factory: pytest.TempPathFactory, kernels: dict[str, RealKernel]) -> Iterator[RpmRepo]:
    """A kernel for each compiler, all with the same headers."""
    work = tmp_path_factory.mktemp("rpms")
    tree = work / "usr" / "src" / "kernels" / "tree"
    tree.parent.mkdir(parents=True)
    slim(flat_tree(kernels["old"], tree, "any"))
    with RpmRepo(tmp_path_factory.mktemp("repository")) as repo:
        for release, compiler in COMPILERS.items():
            tree = tree.rename(tree.with_name(release))
            rename_kernel(tree, release)
            (name_compiler if compiler.startswith("gcc") else name_clang)(tree, compiler)
            version, _, rest = release.removesuffix(".x86_64").partition("-")
            repo.add(make_kernel_rpm(work.with_name("made"), version, rest, tree=work, payload="zstd"))
        repo.publish()
        yield repo


def slim(tree: Path) -> None:
    """Without what no build of this architecture reads: rpmbuild takes its time for every file."""
    for arch in (tree / "arch").iterdir():
        if arch.is_dir() and arch.name != "x86":
            shutil.rmtree(arch)
    for stamp in (tree / "include" / "config").rglob("*"):
        if stamp.is_file() and not stamp.stat().st_size:
            stamp.unlink()


def name_clang(tree: Path, text: str) -> None:
    """As a kernel that clang built says it (init/Kconfig)."""
    config = tree / ".config"
    said = re.sub(r"(?m)^CONFIG_CC_VERSION_TEXT=.*$", f'CONFIG_CC_VERSION_TEXT="{text}"', config.read_text())
    said = re.sub(r"(?m)^CONFIG_CC_IS_GCC=y$", "CONFIG_CC_IS_CLANG=y", said)
    said = re.sub(r"(?m)^CONFIG_GCC_VERSION=.*$", "CONFIG_GCC_VERSION=0", said)
    config.write_text(re.sub(r"(?m)^CONFIG_CLANG_VERSION=.*$", "CONFIG_CLANG_VERSION=190107", said))


@pytest.fixture(scope="module")
def farm(folder: Path, rpms: RpmRepo) -> Iterator[LiveFarm]:
    """Up, and none of its kernels seen before."""
    repository = {"name": "baseos", "rpm": rpms.path, "mirror": "rpms", "signed": "no", "reason": "made here"}
    follows = {"distro": "almalinux", "series": "9", "arches": ["amd64"], "repositories": [repository]}
    sid = {"suite": "sid", "check_valid_until": False, "reason": "mirrors may lag"}
    image_of = {"distro": "debian", "series": "sid", "arches": ["amd64"], "enabled": False, "repositories": [sid]}
    with live_farm(
        folder,
        None,
        {"hello": source("hello")},
        targets=[{**follows, "compiler": ASSUMED}, image_of],
        mirrors={"rpms": rpms.url},
        toolchains={UNMADE.toolchain: {"distro": UNMADE.distro, "series": UNMADE.series}},
    ) as made:
        made.engine.remove_image(UNMADE.tag)
        try:
            made.up()
            yield made
        finally:
            made.engine.remove_image(UNMADE.tag)


Built = Callable[[str], tuple[str, str, bool, str]]


@pytest.fixture
def built(farm: LiveFarm) -> Built:
    """What the manifest says of the compiler: the build's, the kernel's, whether they are the same, who says so."""

    def built(release: str) -> tuple[str, str, bool, str]:
        outcome = farm.await_built(f"hello/{TARGET}/{release}", seconds=240)
        manifest = farm.manifest(outcome)
        assert manifest.compiler.startswith(f"{manifest.toolchain} ")
        assert outcome.image == manifest.image
        return manifest.toolchain, manifest.kernel_toolchain, manifest.exact, manifest.evidence

    return built


def containers(farm: LiveFarm, release: str) -> int:
    """How many were started for a kernel."""
    return len(farm.builds(f"hello/{TARGET}/{release}"))


def test_the_headers_name_another_whose_image_is_there(farm: LiveFarm, built: Built) -> None:
    assert built("5.14.0-2.el9.x86_64") == ("gcc-12", "gcc-12", True, Evidence.CONFIG)
    assert containers(farm, "5.14.0-2.el9.x86_64") == 1
    known = farm.until(lambda: found if "gcc-12" in (found := tags(farm, "5.14.0-2.el9.x86_64")) else None)
    assert ASSUMED not in known


def tags(farm: LiveFarm, release: str) -> set[str]:
    builder = farm.builder(f"hello/{TARGET}/{release}")
    assert builder is not None
    return set(builder["tags"])


def test_the_headers_name_another_whose_image_has_yet_to_be_made(farm: LiveFarm, built: Built) -> None:
    assert built("5.14.0-3.el9.x86_64") == ("gcc-13", "gcc-13", True, Evidence.CONFIG)
    assert containers(farm, "5.14.0-3.el9.x86_64") <= 2


def test_the_headers_name_one_that_there_is_no_image_for(farm: LiveFarm, built: Built) -> None:
    assert built("5.14.0-5.el9.x86_64") == ("gcc-12", "gcc-10", False, Evidence.CONFIG)
    assert containers(farm, "5.14.0-5.el9.x86_64") == 1


def test_the_headers_name_one_that_no_image_can_stand_for(farm: LiveFarm) -> None:
    name = f"hello/{TARGET}/5.14.0-4.el9.x86_64"
    farm.until(lambda: any(str(entry.build_id) == name and entry.ending for entry in entries(farm)))
    assert farm.outcome(name) is None
    assert containers(farm, "5.14.0-4.el9.x86_64") <= 1
    explained = farm.kmodci("explain", name)
    assert explained.end() == 0
    assert f"not tried: {NEITHER}" in explained.said
    status, answer = farm.force(module="hello", kernel="5.14.0-4.el9.x86_64")
    assert (status, f"is skipped: {NEITHER}" in str(answer)) == (400, True)


def entries(farm: LiveFarm) -> list[RunEntry]:
    return [entry for run in farm.runs.runs() for entry in farm.runs.entries(run.id)]


def test_all_of_it_is_one_run_that_tells_how_each_ended(farm: LiveFarm) -> None:
    farm.until(lambda: all(not run.is_open for run in farm.runs.runs()))
    [run] = farm.runs.runs()
    endings = {entry.build_id.release: (entry.ending, entry.cause) for entry in farm.runs.entries(run.id)}
    assert endings == dict.fromkeys(COMPILERS, (Ending.BUILT, "")) | {"5.14.0-4.el9.x86_64": (Ending.SKIPPED, NEITHER)}
