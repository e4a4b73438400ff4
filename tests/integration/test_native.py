"""A host of another architecture: an arm64 kernel is built there natively, and cross-compiled while it is away."""

import lzma
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.bootstrap import MOUNT_POINTS, SuiteSource, command
from kmodci.elf import KernelModule, parse
from kmodci.engine import Engine
from kmodci.errors import EngineError
from kmodci.images import natively, recipe
from kmodci.manifest import Manifest
from kmodci.paths import checkout
from kmodci.settings import load
from kmodci.where import suites_of
from kmodci.workerbundles import WorkerBundles
from support.armengine import ArmEngine
from support.farm import ENGINE, LiveFarm, live_farm, source
from support.realkernels import RealKernel, newest

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(900)]

CROSS = recipe("gcc-12", distro="debian", series="bookworm")
NATIVE = natively(CROSS, "arm64")
_AWK = 'ln -s mawk "$1"/usr/bin/awk'
# what every image has, because all of Debian may take it for granted
_ESSENTIAL = ["bash", "coreutils", "dash", "diffutils", "findutils", "grep", "gzip", "mawk", "sed", "tar"]


@pytest.fixture(scope="module")
def kernel() -> RealKernel:
    return newest("bookworm", "arm64", arch="arm64")["arm64"]


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArmEngine]:
    """With the image on it, which is gone afterwards unless it was there before."""
    engine = Engine(ENGINE, farm="none")
    with ArmEngine(tmp_path_factory.mktemp("arm")) as made:
        was_there = NATIVE.tag in engine.tags()
        if not was_there:
            archive = tmp_path_factory.mktemp("image") / "root.tar.zst"
            unpack_image(suites_of(load(checkout() / "config"), NATIVE), archive)
            engine.load(archive, NATIVE.tag)
        yield made
        if not was_there:
            assert engine.remove_image(NATIVE.tag)


def unpack_image(mirrors: list[SuiteSource], archive: Path) -> None:
    """The packages of the image, unpacked and not set up: that takes six minutes here, since it runs their programs."""
    mount_points = " ".join(f'"$1"/{path}' for path in MOUNT_POINTS)
    instead = {
        "--variant=essential": "--variant=extract",
        # all other hooks are for what is set up
        f"--customize-hook=mkdir -p {mount_points}": f"--setup-hook=mkdir -p {mount_points}; {_AWK}",
        f"--include={','.join(NATIVE.packages)}": f"--include={','.join([*NATIVE.packages, *_ESSENTIAL])}",
    }
    words = command(NATIVE, mirrors, archive)
    assert instead.keys() <= set(words)
    done = subprocess.run([instead.get(word, word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def farm(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, kernel: RealKernel, arm: ArmEngine
) -> Iterator[LiveFarm]:
    """Up, with a host that cross-compiles and one that need not."""
    with AptRepo(tmp_path_factory.mktemp("repo"), suite="test", arches=("amd64", "arm64")) as repo:
        for deb in (*kernel.debs, *kernel.native):
            repo.add(deb)
        repo.publish()
        place = {"suite": "test", "mirror": "test", "keyring": str(repo.keyring)}
        target = {"distro": "debian", "series": "test", "arches": ["arm64"], "repositories": [place]}
        hosts = {
            "here": {"docker_host": ENGINE, "workers": 1},
            "arm": {"docker_host": arm.url, "workers": 1, "arches": ["arm64"]},
        }
        # emulated, it may take minutes
        more = {"targets": [target], "mirrors": {"test": repo.url}, "hosts": hosts, "limits": {"time": "15m"}}
        with live_farm(folder, None, {"hello": source("hello")}, **more) as farm:
            # else it would be cross-compiled until that is made
            WorkerBundles(load(farm.config), farm.paths.workers).made("arm64")
            farm.up()
            yield farm


def module(farm: LiveFarm, manifest: Manifest) -> KernelModule:
    [file] = manifest.files
    content = farm.bucket.get(file.key)
    assert content is not None
    return parse(lzma.decompress(content) if file.name.endswith(".xz") else content)


def page(farm: LiveFarm, name: str) -> str:
    with urllib.request.urlopen(f"{farm.url}/kmodci/builds/{name}", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def host_of(build: dict[str, object]) -> str:
    return str(build["properties"]["workername"][0]).rpartition("-")[0]  # type: ignore[index]


def test_an_engine_of_another_architecture_than_is_said_is_not_used(arm: ArmEngine) -> None:
    assert Engine(arm.url, farm="x", arch="arm64").look().cores
    with pytest.raises(EngineError, match=r"runs on arm64, and kmodci\.yml says amd64"):
        Engine(arm.url, farm="x").look()
    with pytest.raises(EngineError, match=r"runs on amd64, and kmodci\.yml says arm64"):
        Engine(ENGINE, farm="x", arch="arm64").look()


def test_it_is_built_natively_and_cross_compiled_while_the_host_is_away(
    farm: LiveFarm, arm: ArmEngine, kernel: RealKernel
) -> None:
    name = f"hello/debian-test-arm64/{kernel.release}"
    native = farm.manifest(farm.await_built(name, seconds=600))
    [build] = farm.builds(name)
    assert host_of(build) == "arm"
    assert (native.runs_on, native.image) == ("arm64", NATIVE.digest)
    farm.until(lambda: NATIVE.digest in page(farm, name))
    assert "arm64" in {package.arch for package in native.packages if package.name.startswith("linux-kbuild-")}

    arm.close()
    farm.until(lambda: "host arm is away" in farm.log)
    before = farm.outcome(name)
    status, answer = farm.force(module="hello", kernel=kernel.release, builderid=0, rebuild=True)
    assert status == 200, answer
    cross = farm.manifest(farm.await_built(name, after=before.finished, seconds=300))
    assert host_of(farm.builds(name)[-1]) == "here"
    assert (cross.runs_on, cross.image) == ("amd64", CROSS.digest)
    assert cross.inputs == native.inputs, "neither is built again for the other"
    assert module(farm, native) == module(farm, cross)
