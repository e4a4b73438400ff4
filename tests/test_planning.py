"""What can be built where: an arm64 kernel on a host that cross-compiles, and on one that need not."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from kmodci.distros import DISTROS, Place
from kmodci.farm import Farm
from kmodci.hosts import Answer, Room
from kmodci.images import short_name
from kmodci.model import BuildId, Kernel, ModuleVersion
from kmodci.opening import open_farm
from kmodci.paths import checkout
from kmodci.planning import Plan
from kmodci.store import RepositoryState
from kmodci.watch import bundle_note
from support.debian import stanzas

FREE = {"pc": Room(workers=2, free=2), "ampere": Room(workers=2, free=2)}


@dataclass
class Images:
    """The part of an engine that is planned with."""

    there: set[str] = field(default_factory=set)

    def look(self, *, timeout: int) -> Answer:
        return Answer(images=frozenset(self.there), cores=2)

    def forget_bundles(self) -> None:
        pass


@dataclass
class Site:
    """A farm that knows of one arm64 kernel, and of one module."""

    farm: Farm
    kernel: Kernel
    engines: dict[str, Images]

    def has(self, host: str, arch: str) -> None:
        self.engines[host].there.add(self.farm.images[short_name(self.kernel.toolchain, arch)].tag)

    def has_worker(self) -> None:
        self.farm.bundles.place("arm64").mkdir(parents=True, exist_ok=True)

    def knows(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.farm.store.put_kernels(kernel.repository, [kernel])

    def plan(self) -> Plan:
        return self.farm.planner.plan()

    def host(self, rooms: dict[str, Room] | None = None) -> str | None:
        """Where it goes, after a plan."""
        self.plan()
        build_id = BuildId(module="mine", target=self.kernel.target, release=self.kernel.release)
        return self.farm.planner.host_for(build_id, self.kernel.toolchain, FREE if rooms is None else rooms)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    config = tmp_path / "config"
    shutil.copytree(checkout() / "config", config)
    (config / "kmodci.yml").write_text(
        "state: ../state\n"
        "hosts: {pc: {docker_host: 'unix:///a'}, ampere: {docker_host: 'unix:///b', arches: [arm64]}}\n"
    )
    (config / "modules.yml").write_text("modules: {mine: {source: {path: /nowhere}, version: '1'}}\n")
    (config / "known-failures.yml").write_text("")
    farm = open_farm(config)
    for name in (*farm.watch.repositories, "mine"):
        farm.store.put_repository(RepositoryState(name=name, last_try=2.0))
    farm.store.put_module_version(ModuleVersion(module="mine", version="1", origin="here", digest="d"))
    engines = {name: Images() for name in farm.engines}
    farm.engines.engines = cast(Any, engines)
    place = Place(distro="debian", series="bookworm", repository="bookworm main", arches=("arm64",))
    found = DISTROS["debian"].kernels(stanzas("bookworm", "amd64", "arm64"), place).kernels
    made = Site(farm, next(each for each in found if each.release == "6.1.0-50-arm64"), engines)
    made.knows(made.kernel)
    yield made
    farm.store.close()


def test_what_is_not_made_is_asked_for_and_what_is_there_is_used_meanwhile(site: Site) -> None:
    plan = site.plan()
    assert (plan.missing_images, plan.ready) == (("gcc-12", "gcc-12-arm64"), {})
    site.has("pc", "amd64")
    plan = site.plan()
    assert plan.missing_images == ("gcc-12-arm64",)
    assert list(plan.ready) == [f"mine/{site.kernel}"]
    assert site.host() == "pc"
    site.has("ampere", "arm64")
    assert site.plan().missing_images == ("gcc-12-arm64",), "its worker is made with it"
    assert site.host() == "pc"
    site.has_worker()
    assert site.plan().missing_images == ()
    assert site.host() == "ampere"
    assert site.host({"pc": Room(2, 2)}) == "pc", "the other is busy"


def test_an_image_that_cannot_be_made_keeps_nothing_that_has_another(site: Site) -> None:
    site.has("pc", "amd64")
    site.farm.planner.note_image_fault("gcc-12-arm64", "no emulator")
    plan = site.plan()
    assert (plan.missing_images, len(plan.ready), plan.waiting) == ((), 1, {})
    site.engines["pc"].there.clear()
    site.farm.planner.note_image_fault("gcc-12", "no mirror")
    plan = site.plan()
    assert plan.waiting == {f"mine/{site.kernel}": "no image for gcc-12-arm64: no emulator"}


def test_a_host_that_is_away_is_not_waited_for(site: Site) -> None:
    site.has("pc", "amd64")
    site.farm.engines.note_fault("ampere", "unplugged")
    assert site.plan().missing_images == ()
    assert site.farm.engines.runs_on(site.kernel) == "amd64"


def test_a_kernel_whose_programs_are_known_for_one_architecture(site: Site) -> None:
    site.has("pc", "amd64")
    site.has("ampere", "arm64")
    site.has_worker()
    assert site.farm.engines.runs_on(site.kernel) == "arm64"
    site.knows(replace(site.kernel, native=()))
    assert site.host() == "pc"
    assert site.host({"ampere": Room(2, 2)}) is None
    assert site.farm.engines.runs_on(site.kernel) == "amd64"


def test_a_kernel_that_is_gone_is_built_where_there_are_headers(site: Site) -> None:
    site.has("pc", "amd64")
    site.has("ampere", "arm64")
    site.has_worker()
    site.knows(replace(site.kernel, gone=5.0))
    assert site.plan().due == ()
    site.farm.store.put_meta(bundle_note(site.kernel.headers_digest), "a" * 64)
    assert len(site.plan().due) == 1
    assert site.host() == "pc"
    site.farm.store.put_meta(bundle_note(site.kernel.on("arm64").headers_digest), "b" * 64)
    assert site.host() == "ampere"


def test_a_build_has_one_key_wherever_it_runs(site: Site) -> None:
    name = f"mine/{site.kernel}"
    cross, native = site.farm.job(name, host="pc"), site.farm.job(name, host="ampere")
    assert cross.key == native.key == site.farm.job(name).key == site.plan().keys[name]
    assert (cross.runs_on, native.runs_on) == ("amd64", "arm64")
    assert {cross.image, native.image} == {site.farm.images[label].tag for label in ("gcc-12", "gcc-12-arm64")}
    assert cross.kernel == site.kernel
    assert native.kernel == site.kernel.on("arm64")
