"""A farm that follows Ubuntu on two mirrors, of which the first is broken: poll, bundle, build, verify, bucket.

The headers are real ones of Debian, packed as Ubuntu packs its own: a kernel of the series and an HWE one.
"""

import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from benchmarks.webserver import Handler, WebServer, page, status
from kmodci.elf import parse
from kmodci.manifest import IndexEntry
from support.farm import LiveFarm, live_farm, source
from support.realkernels import RealKernel
from support.ubuntu import forget, ubuntu_packages

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]

TARGET = "ubuntu-noble-amd64"
SUITE = "noble-updates"
COMPONENTS = ("main", "universe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A kernel in Ubuntu's packages."""

    like: str
    """of the kernels of these tests"""
    release: str
    version: str
    shared: str
    compiler: str
    toolchain: str
    """the nearest that there is"""
    component: str


GENERIC = Packed(
    like="old",
    release="6.8.0-31-generic",
    version="6.8.0-31.31",
    shared="linux-headers-6.8.0-31",
    compiler="x86_64-linux-gnu-gcc-11 (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0",
    toolchain="gcc-12",
    component="main",
)
HWE = Packed(
    like="new",
    release="6.11.0-17-generic",
    version="6.11.0-17.17~24.04.2",
    shared="linux-hwe-6.11-headers-6.11.0-17",
    compiler="x86_64-linux-gnu-gcc-13 (Ubuntu 13.3.0-6ubuntu2~24.04) 13.3.0",
    toolchain="gcc-14",
    component="universe",
)


class Broken(WebServer):
    """A mirror that answers everything with a page, but for packages of one kernel, which it has dropped."""

    def next_fault(self, path: str) -> Callable[[Handler], None]:
        return status(404) if HWE.release in path else page("<html><body>Service will be back soon</body></html>")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, kernels: dict[str, RealKernel]) -> Iterator[AptRepo]:
    folder = tmp_path_factory.mktemp("archive")
    with AptRepo(
        folder, suite=SUITE, codename="noble", label="Ubuntu", arches=("amd64",), components=COMPONENTS
    ) as repo:
        for each in (GENERIC, HWE):
            for deb in ubuntu_packages(
                kernels[each.like],
                folder / each.release,
                each.release,
                version=each.version,
                shared=each.shared,
                compiler=each.compiler,
            ):
                repo.add(deb, each.component)
            forget(folder / each.release)
        repo.publish(valid_for=None)
        yield repo


@pytest.fixture(scope="module")
def broken(archive: AptRepo) -> Iterator[WebServer]:
    with Broken(archive.root) as server:
        yield server


@pytest.fixture(scope="module")
def farm(folder: Path, archive: AptRepo, broken: WebServer) -> Iterator[LiveFarm]:
    ubuntu = {
        "distro": "ubuntu",
        "series": "noble",
        "arches": ["amd64"],
        "compiler": "gcc-13",
        "repositories": [
            {"suite": SUITE, "component": [*COMPONENTS], "arches": ["amd64"], "keyring": str(archive.keyring)}
        ],
    }
    mirrors = {"ubuntu": [broken.url, archive.url]}
    with live_farm(folder, None, {"hello": source("hello")}, targets=[ubuntu], mirrors=mirrors) as made:
        made.up()
        yield made


@pytest.mark.parametrize("kernel", [GENERIC, HWE], ids=["generic", "hwe"])
def test_a_kernel_goes_the_whole_way(farm: LiveFarm, broken: WebServer, archive: AptRepo, kernel: Packed) -> None:
    outcome = farm.await_built(f"hello/{TARGET}/{kernel.release}", seconds=200)
    manifest = farm.manifest(outcome)
    assert (manifest.kernel_version, manifest.toolchain) == (kernel.version, kernel.toolchain)
    assert not manifest.exact
    assert [package.name for package in manifest.packages] == [f"linux-headers-{kernel.release}", kernel.shared]
    # known by the first mirror, although the second had them
    known = farm.store.kernels()[f"{TARGET}/{kernel.release}"]
    assert {package.url.partition("/pool")[0] for package in known.headers} == {broken.url}
    data = farm.bucket.get(f"index/hello/1.0/ubuntu/noble/amd64/{kernel.release}.json")
    assert data is not None
    entry = IndexEntry.model_validate_json(data)
    assert (entry.release, entry.series, entry.manifest) == (kernel.release, "noble", outcome.manifest)
    [file] = entry.files
    content = farm.bucket.get(file.key)
    assert content is not None
    ko = lzma.decompress(content) if file.name.endswith(".xz") else content
    assert parse(ko).info("vermagic").split()[0] == kernel.release
    log = farm.build_log(outcome)
    assert f"/usr/src/linux-headers-{kernel.release}" in log
    asked = [path for path in broken.requests if kernel.release in path or kernel.shared in path]
    assert len(asked) >= 1
    assert {path for path in archive.requests if kernel.release in path or kernel.shared in path} >= set(asked)


def test_the_state_names_the_mirror_that_failed_although_the_other_answers(farm: LiveFarm, broken: WebServer) -> None:
    name = f"{SUITE} main universe amd64"
    state = farm.until(lambda: farm.store.repository_states().get(name))
    assert (state.error, state.problems) == ("", ())
    assert [broken.url in fault and "not signed" in fault for fault in state.mirror_faults] == [True]


def test_the_broken_mirror_is_not_asked_with_every_poll(farm: LiveFarm, broken: WebServer, archive: AptRepo) -> None:
    polls = archive.requests.count(f"/dists/{SUITE}/InRelease")
    farm.until(lambda: archive.requests.count(f"/dists/{SUITE}/InRelease") >= polls + 3)
    assert broken.requests.count(f"/dists/{SUITE}/InRelease") == 1
