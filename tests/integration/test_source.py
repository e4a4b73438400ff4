"""One farm with kernels whose headers are made here: of their source, or with programs that ran on arm64 only."""

import base64
import gzip
import hashlib
import json
import lzma
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from benchmarks.rpmrepo import RpmRepo, make_kernel_rpm, sign_rpm
from benchmarks.webserver import WebServer
from kmodci.elf import KernelModule, parse
from kmodci.images import for_preparing
from kmodci.manifest import IndexEntry, Manifest
from kmodci.model import Outcome, Status
from kmodci.settings import load
from kmodci.where import recipes_of
from support.farm import LiveFarm, free_ports, live_farm, source
from support.headertrees import flat_tree, in_memory, own_files
from support.kernelsource import KernelSource, kernel_source
from support.realkernels import RealKernel, newest

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(900)]

TARGET = "vanilla-test-amd64"
FLATCAR = "flatcar-stable-amd64"
FOREIGN = "almalinux-10-arm64"
FOREIGN_RELEASE = "6.12.0-124.8.1.el10_1.aarch64"


@pytest.fixture(scope="module")
def linux(kernels: dict[str, RealKernel]) -> KernelSource:
    return kernel_source(kernels["new-cloud"], "trixie")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with WebServer(tmp_path_factory.mktemp("files")) as made:
        yield made


@pytest.fixture(scope="module")
def vanilla(
    server: WebServer, linux: KernelSource, kernels: dict[str, RealKernel], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, object]:
    """Kernels of one source: one that wants no CRCs, two that do, and one that it is not the source of."""
    config, symvers = own_files(kernels["new-cloud"], ".config", "Module.symvers")
    plain = gzip.compress(config.replace(b"CONFIG_MODVERSIONS=y\n", b"").replace(b"CONFIG_ASM_MODVERSIONS=y\n", b""))
    os.link(linux.tarball, server.folder / "linux.tar.xz")
    (server.folder / "config.gz").write_bytes(plain)
    folder = tmp_path_factory.mktemp("own")
    (folder / "config").write_bytes(config)
    (folder / "symvers").write_bytes(symvers)
    tarball = {"tarball": f"{server.url}/linux.tar.xz", "sha256": linux.sha256}
    by_url = {"config": f"{server.url}/config.gz", "config_sha256": hashlib.sha256(plain).hexdigest()}
    here = {"config": str(folder / "config")}
    sources = [
        {"release": f"{linux.version}-mine", **tarball, **by_url},
        {"release": f"{linux.version}-with-crcs", **tarball, **here, "symvers": str(folder / "symvers")},
        {"release": f"{linux.version}-without", **tarball, **here},
        {"release": "6.99.1-other", **tarball, **by_url},
    ]
    repository = {"name": "by-hand", "sources": sources}
    return {"distro": "vanilla", "series": "test", "arches": ["amd64"], "repositories": [repository]}


@pytest.fixture(scope="module")
def flatcar(server: WebServer, linux: KernelSource, kernels: dict[str, RealKernel]) -> Mapping[str, object]:
    """A kernel of kernel-crawler's list, which has its configuration alone; the source is where kernel.org has it."""
    [config] = own_files(kernels["new-cloud"], ".config")
    plain = config.replace(b"CONFIG_MODVERSIONS=y\n", b"").replace(b"CONFIG_ASM_MODVERSIONS=y\n", b"")
    sources = server.folder / f"v{linux.version.partition('.')[0]}.x"
    sources.mkdir()
    os.link(linux.tarball, sources / f"linux-{linux.version}.tar.xz")
    (sources / "sha256sums.asc").write_text(f"{linux.sha256}  linux-{linux.version}.tar.xz\n")
    entry = {"kernelrelease": "4459.2.1", "kernelversion": "1", "target": "flatcar"}
    entry["kernelconfigdata"] = base64.b64encode(plain).decode()
    (server.folder / "list.json").write_text(json.dumps({"flatcar": [entry]}))
    repository = {"name": "list", "crawler": f"{server.url}/list.json", "signed": "no", "reason": "a test"}
    # its configuration says another
    place = {"arches": ["amd64"], "compiler": "gcc-12", "repositories": [repository]}
    return {"distro": "flatcar", "series": "stable", **place}


@pytest.fixture(scope="module")
def foreign(linux: KernelSource, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, object]]:
    """Headers for arm64 as Red Hat packs them where it builds them, on arm64."""
    kernel = newest("trixie", "arm64", arch="arm64")["arm64"]
    version, _, release = FOREIGN_RELEASE.removesuffix(".aarch64").partition("-")
    with RpmRepo(tmp_path_factory.mktemp("alma"), path="10/BaseOS/aarch64/os") as repo:
        with in_memory() as folder:
            tree = folder / f"root/usr/src/kernels/{FOREIGN_RELEASE}"
            flat_tree(kernel, tree, FOREIGN_RELEASE, host_tools="arm64", source=linux)
            rpm = make_kernel_rpm(folder, version, release, arch="aarch64", tree=folder / "root", payload="zstd")
            repo.add(sign_rpm(rpm, repo.key))
        repo.publish()
        place = {"name": "baseos", "rpm": f"{repo.url}/{repo.path}", "signed": "packages", "keyring": str(repo.keyring)}
        yield {
            "distro": "almalinux",
            "series": "10",
            "arches": ["arm64"],
            "compiler": "gcc-14",
            "repositories": [place],
        }


@pytest.fixture(scope="module")
def farm(
    folder: Path,
    server: WebServer,
    vanilla: Mapping[str, object],
    flatcar: Mapping[str, object],
    foreign: Mapping[str, object],
) -> Iterator[LiveFarm]:
    modules = {"hello": source("hello"), "second": source("hello", kernels={"include": [f"{TARGET}/*"]})}
    mirrors = {"kernel.org": server.url}
    with live_farm(folder, None, modules, targets=[vanilla, flatcar, foreign], mirrors=mirrors) as made:
        made.up()
        yield made


def module(farm: LiveFarm, manifest: Manifest) -> KernelModule:
    [file] = manifest.files
    content = farm.bucket.get(file.key)
    assert content is not None
    return parse(lzma.decompress(content) if file.name.endswith(".xz") else content)


def kinds(manifest: Manifest) -> list[str]:
    return [package.kind for package in manifest.packages]


def test_a_kernel_from_source_goes_all_the_way(farm: LiveFarm, linux: KernelSource, server: WebServer) -> None:
    release = f"{linux.version}-mine"
    outcome = farm.await_built(f"hello/{TARGET}/{release}", seconds=600)
    manifest = farm.manifest(outcome)
    ko = module(farm, manifest)
    assert ko.info("vermagic").split()[0] == release
    assert "modversions" not in ko.info("vermagic")
    assert (ko.machine, dict(ko.crcs)) == ("EM_X86_64", {})
    assert "_printk" in ko.undefined
    assert manifest.symbols_checked is False
    assert kinds(manifest) == ["source", "config"]
    assert (manifest.toolchain, manifest.exact, manifest.flavour) == ("gcc-14", True, "mine")
    again = farm.await_built(f"second/{TARGET}/{release}", seconds=600)
    assert farm.manifest(again).headers == manifest.headers
    # and once for all kernels that are made of it
    assert sum(path.endswith(".tar.xz") for path in server.requests) == 1


def test_one_of_kernel_crawlers_list_goes_all_the_way(farm: LiveFarm, linux: KernelSource) -> None:
    release = f"{linux.version}-flatcar"
    outcome = farm.await_built(f"hello/{FLATCAR}/{release}", seconds=600)
    manifest = farm.manifest(outcome)
    assert module(farm, manifest).info("vermagic").split()[0] == release
    assert (kinds(manifest), manifest.kernel_version) == (["source", "config"], "4459.2.1")
    assert (manifest.toolchain, manifest.exact, manifest.symbols_checked) == ("gcc-14", True, False)
    # a node asks for what its uname says, whatever the system's version is
    data = farm.bucket.get(f"index/hello/1.0/flatcar/amd64/{release}.json")
    assert data is not None
    assert IndexEntry.model_validate_json(data).manifest == outcome.manifest


def test_with_the_symvers_of_its_build_all_is_checked(farm: LiveFarm, linux: KernelSource) -> None:
    outcome = farm.await_built(f"hello/{TARGET}/{linux.version}-with-crcs", seconds=600)
    manifest = farm.manifest(outcome)
    ko = module(farm, manifest)
    assert manifest.symbols_checked is True
    assert kinds(manifest) == ["source", "config", "symvers"]
    assert {"module_layout", "_printk"} <= ko.crcs.keys()


def test_without_it_the_kernel_is_told_as_a_problem(farm: LiveFarm, linux: KernelSource) -> None:
    farm.await_built(f"hello/{TARGET}/{linux.version}-mine", seconds=600)
    [problem] = farm.store.repository_state("vanilla-test by-hand").problems
    assert problem.startswith(f"linux-{linux.version}-without: CONFIG_MODVERSIONS is set")
    assert f"{TARGET}/{linux.version}-without" not in farm.store.kernels()


def test_a_source_of_another_kernel_fails_its_builds_with_the_reason(farm: LiveFarm, linux: KernelSource) -> None:
    outcome: Outcome = farm.await_outcome(f"hello/{TARGET}/6.99.1-other", seconds=600)
    assert outcome.status is Status.FAILED
    assert outcome.cause.endswith(f"the source is of Linux {linux.version}, not of 6.99.1-other")


def test_programs_of_arm64_are_made_again(farm: LiveFarm) -> None:
    outcome = farm.await_built(f"hello/{FOREIGN}/{FOREIGN_RELEASE}", seconds=600)
    manifest = farm.manifest(outcome)
    ko = module(farm, manifest)
    assert ko.machine == "EM_AARCH64"
    assert ko.info("vermagic").split()[0] == FOREIGN_RELEASE
    assert (manifest.symbols_checked, manifest.exact) == (True, True)
    assert "module_layout" in ko.crcs
    [kernel] = [kernel for name, kernel in farm.store.kernels().items() if name.startswith(FOREIGN)]
    notes = {name: note for name, note in farm.store.metas("bundle/").items() if kernel.headers_digest in name}
    assert notes[f"bundle/{kernel.headers_digest}/gcc-14-trixie"] == Path(manifest.headers).name.removesuffix(
        ".tar.zst"
    )
    assert len(set(notes.values())) == 2
    assert for_preparing(recipes_of(load(farm.config))["gcc-14"]).tag in farm.engine.tags()


def test_by_hand_without_a_farm(farm: LiveFarm, linux: KernelSource, tmp_path: Path) -> None:
    """With the configuration of another, which is never started."""
    shutil.copytree(farm.config, tmp_path / "config")
    settings = json.loads((tmp_path / "config/kmodci.yml").read_text())
    settings |= {"state": str(tmp_path / "state"), "web": {"port": free_ports()}}
    (tmp_path / "config/kmodci.yml").write_text(json.dumps(settings))
    build_id = f"hello/{TARGET}/{linux.version}-mine"
    command = farm.kmodci("build", build_id, "--output", str(tmp_path / "out"), config=tmp_path / "config")
    assert command.end(seconds=600) == 0, command.said
    [made] = (tmp_path / "out").glob("hello.ko*")
    said = subprocess.run(["modinfo", made], capture_output=True, text=True, check=True).stdout
    assert f"vermagic:       {linux.version}-mine SMP preempt mod_unload" in said
