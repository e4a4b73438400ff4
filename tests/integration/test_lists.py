"""A farm whose kernels are in no repository: one is named by hand, others are in a list as kernel-crawler makes it."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.webserver import WebServer
from kmodci.discovery import Repository, look
from kmodci.fetch import Fetcher
from kmodci.keys import kernel_list_key
from kmodci.manifest import IndexEntry
from kmodci.repos.crawler import CrawlerIndex
from support.farm import LiveFarm, live_farm, source
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(600)]

TARGET = "debian-crawled-amd64"
LIST = kernel_list_key("amd64")


class Served:
    """Header packages and a list of them, on a web server."""

    def __init__(self, server: WebServer) -> None:
        self.server = server
        self.lists = server.folder / "x86_64"
        self.lists.mkdir()

    def urls(self, kernel: RealKernel) -> list[str]:
        """Where its packages are from now on."""
        for deb in kernel.debs:
            shutil.copy(deb, self.server.folder / deb.name)
        return [f"{self.server.url}/{deb.name.replace('+', '%2B')}" for deb in kernel.debs]

    def publish(self, *kernels: RealKernel) -> None:
        """A list, in which a kernel is called after its package's version, as kernel-crawler calls Debian's."""
        entries = [
            {
                "kernelversion": "1",
                "kernelrelease": f"{kernel.version}-amd64",
                "target": "debian",
                "headers": self.urls(kernel)[::-1],
            }
            for kernel in kernels
        ]
        part = self.lists / "part"
        part.write_text(json.dumps({"debian": entries, "redhat": []}, indent=2))
        part.rename(self.lists / "list.json")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with WebServer(tmp_path_factory.mktemp("served")) as server:
        yield Served(server)


@pytest.fixture(scope="module")
def farm(folder: Path, served: Served, kernels: dict[str, RealKernel]) -> Iterator[LiveFarm]:
    """It follows a list with two kernels, and one that is named by hand."""
    served.publish(kernels["old"], kernels["new"])
    kept = kernels["old-cloud"]
    pairs = zip(served.urls(kept), kept.debs, strict=True)
    headers = [{"url": url, "sha256": hashlib.sha256(deb.read_bytes()).hexdigest()} for url, deb in pairs]
    target = {
        "distro": "debian",
        "series": "crawled",
        "arches": ["amd64"],
        # not that of all of them: what their headers say counts
        "compiler": "gcc-12",
        "repositories": [
            {
                "name": "list",
                "crawler": f"{served.server.url}/$basearch/list.json",
                "signed": "no",
                "reason": "a test",
            },
            {"name": "kept", "kernels": [{"release": kept.release, "version": kept.version, "headers": headers}]},
        ],
    }
    with live_farm(folder, None, {"hello": source("hello")}, targets=[target]) as made:
        made.up()
        yield made


@pytest.mark.parametrize("name", ["old", "new", "old-cloud"])
def test_a_kernel_goes_all_the_way(farm: LiveFarm, kernels: dict[str, RealKernel], name: str) -> None:
    kernel = kernels[name]
    outcome = farm.await_built(f"hello/{TARGET}/{kernel.release}", seconds=300)
    data = farm.bucket.get(f"index/hello/1.0/debian/amd64/{kernel.release}.json")
    assert data is not None
    entry = IndexEntry.model_validate_json(data)
    assert (entry.series, entry.kernel_version, entry.manifest) == ("crawled", kernel.version, outcome.manifest)
    assert entry.files[0].vermagic.split()[0] == kernel.release
    manifest = farm.manifest(outcome)
    assert (manifest.toolchain, manifest.exact) == (kernel.toolchain, True)
    assert {package.name for package in manifest.packages} == {deb.name.split("_")[0] for deb in kernel.debs}
    assert all(bool(package.sha256) == (name == "old-cloud") for package in manifest.packages)


def test_the_farm_has_such_a_list_of_its_own(farm: LiveFarm, kernels: dict[str, RealKernel], folder: Path) -> None:
    releases = [kernels[each].release for each in ("old", "old-cloud", "new")]

    def whole() -> bytes | None:
        # it is written a few times a minute, and the two repositories are looked at one after the other
        content = farm.bucket.get(LIST)
        listed = json.loads(content or b"{}").get("debian", [])
        return content if [each["kernelrelease"] for each in listed] == releases else None

    content = farm.until(whole)
    command = farm.kmodci("kernels", "--scope", "all", "--format", "kernel-crawler", "--arch", "amd64")
    assert command.end() == 0
    assert command.said.encode() == content
    # whoever reads it has the same kernels
    (folder / "list.json").write_bytes(content)
    reader = Repository(
        name="ours",
        distro="debian",
        series="crawled",
        arches=("amd64",),
        index=CrawlerIndex(distribution="debian"),
        mirrors=(str(folder / "list.json"),),
        compiler="gcc-12",
    )
    again = look(reader, Fetcher(), now=datetime.now(UTC)).kernels
    ours = farm.store.kernels()
    assert {str(each): [p.url for p in each.headers] for each in again} == {
        name: [p.url for p in each.headers] for name, each in ours.items()
    }


def test_what_is_no_list_any_more_takes_nothing_away_and_a_new_kernel_is_built(
    farm: LiveFarm, served: Served, kernels: dict[str, RealKernel]
) -> None:
    name = "debian-crawled list"
    for kernel in ("old", "new"):
        farm.await_built(f"hello/{TARGET}/{kernels[kernel].release}", seconds=300)
    # what kernel-crawler writes when no mirror can be reached
    (served.lists / "list.json").write_text("{}")
    error = farm.until(lambda: farm.store.repository_state(name).error)
    assert "the list has no kernel of 'debian'; it has: nothing" in error
    assert len(farm.store.kernels()) == 3
    served.publish(kernels["old"], kernels["new"], kernels["new-cloud"])
    farm.await_built(f"hello/{TARGET}/{kernels['new-cloud'].release}", seconds=300)
    assert farm.store.repository_state(name).error == ""
    farm.until(lambda: kernels["new-cloud"].release.encode() in (farm.bucket.get(LIST) or b""))
