"""What benchmarks make for themselves is what they say it is."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks import bigrpm, looking
from benchmarks.aptrepo import AptRepo, kernel_packages
from benchmarks.place import SCOPE, Place
from benchmarks.webserver import WebServer
from kmodci.discovery import Repository, look
from kmodci.fetch import Fetcher
from kmodci.paths import checkout
from kmodci.repos.base import Signed
from kmodci.repos.rpm import RpmIndex
from kmodci.settings import load


def test_the_large_rpm_repository_has_its_kernels_in_every_form(tmp_path: Path) -> None:
    made = bigrpm.make(tmp_path, 700)
    with WebServer(tmp_path) as server:
        for variant, folder in made.items():
            found = look(
                Repository(
                    name="big",
                    distro="almalinux",
                    series="9",
                    arches=("amd64",),
                    index=RpmIndex(path=folder.name, signed=Signed.NO),
                    mirrors=(server.url,),
                    compiler="gcc-11",
                ),
                Fetcher(),
                now=datetime.now(UTC),
            )
            assert (len(found.kernels), found.problems) == (bigrpm.KERNELS, ()), variant
            assert found.kernels[0].release == "5.14.0-100.el9.x86_64"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """One that follows a series of a test's repository only."""
    (tmp_path / "config").mkdir()
    made = Place(tmp_path / "config", tmp_path / "state", "none")
    made.make_up(["none"])
    made.write(["debian-test-*/*"])
    return made


def test_looks_are_counted_and_recorded_ones_are_the_same(place: Place, tmp_path: Path) -> None:
    with AptRepo(tmp_path / "repo", suite="test") as repo:
        for deb in kernel_packages(tmp_path / "debs"):
            repo.add(deb)
        repo.publish()
        suite = {"suite": "test", "mirror": "test", "keyring": str(repo.keyring)}
        target = {"distro": "debian", "series": "test", "arches": ["amd64"], "repositories": [suite]}
        (place.config / "targets.yml").write_text('{"targets": [], "toolchains": {}}')
        place.follow(target, mirrors={"test": repo.url})
        looking.recorded(place.config, SCOPE, tmp_path / "recorded")
        cold, warm = looking.look(place.config, SCOPE, place.state, 2)
    assert (cold.requests, warm.requests, cold.kernels, warm.kernels) == (2, 1, 1, 1)
    files = [path for path in (tmp_path / "recorded").rglob("*") if path.is_file()]
    assert sorted(path.parent.name for path in files) == ["SHA256", "test"]
    assert sum(path.stat().st_size for path in files) == cold.received
    with WebServer(tmp_path / "recorded") as server:
        place.follow(mirrors={"test": server.url})
        (tmp_path / "fresh").mkdir()
        [again] = looking.look(place.config, SCOPE, tmp_path / "fresh", 1)
    assert (again.requests, again.received, again.kernels) == (2, cold.received, 1)


def test_more_can_be_followed_than_the_shipped_configuration_does(place: Place) -> None:
    shutil.copy(checkout() / "config" / "targets.yml", place.config)
    place.write(["debian-trixie-*/*"])
    before = load(place.config)
    suite = {"suite": "test", "mirror": "test"}
    place.follow(
        {"distro": "debian", "series": "test", "arches": ["amd64"], "repositories": [suite]},
        mirrors={"test": "http://127.0.0.1:9/debian"},
    )
    after = load(place.config)
    assert after.targets[:-1] == before.targets
    assert str(after.targets[-1].targets[0]) == "debian-test-amd64"
    assert after.mirrors == {**before.mirrors, "test": ("http://127.0.0.1:9/debian",)}
