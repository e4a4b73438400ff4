"""The S3 server is away, hangs, refuses and breaks off: builds wait with what they have, and nothing else shows."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.model import Status
from support.chaos import await_all_built, await_rest, check_all, faults_of_bucket
from support.farm import TARGET, LiveFarm, gated, live_farm, source
from support.faultys3 import FaultyS3, at_random, hanging
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(600)]

AWAY = float(os.environ.get("KMODCI_CHAOS_AWAY", "20"))
"""seconds"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyS3]:
    with FaultyS3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None], s3: FaultyS3) -> Iterator[LiveFarm]:
    publish(repo, "old", "new")
    with live_farm(folder, repo, {"first": source("hello")}, bucket=s3.settings) as made:
        made.up()
        yield made


@pytest.fixture
def two(kernels: dict[str, RealKernel]) -> list[str]:
    return [f"{TARGET}/{kernels[name].release}" for name in ("old", "new")]


def add(farm: LiveFarm, modules: Mapping[str, object]) -> None:
    """Modules to be built from now on."""
    farm.write_modules(farm.modules | modules)
    farm.reconfigure()


def add_gated(farm: LiveFarm, name: str, two: list[str]) -> set[str]:
    """A module whose builds have begun: with the bucket away, none does. Returns their ids."""
    builds = {f"{name}/{kernel}" for kernel in two}
    add(farm, {name: gated()})
    farm.until(lambda: builds <= farm.running().keys())
    return builds


def waiting(farm: LiveFarm) -> set[str]:
    """The steps that say that they wait."""
    open_builds = farm.get("builds?complete=false")["builds"]
    steps = [step for b in open_builds for step in farm.get(f"builds/{b['buildid']}/steps")["steps"]]
    return {step["state_string"] for step in steps if "; waits: " in step["state_string"]}


def no_fault_was_remembered(farm: LiveFarm) -> None:
    bad = {name: o.cause for name, o in farm.store.outcomes().items() if o.status is not Status.BUILT}
    assert not bad, bad


def test_a_server_that_is_away_is_waited_for(
    farm: LiveFarm, s3: FaultyS3, two: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    await_all_built(farm, {f"first/{kernel}" for kernel in two})
    builds = {f"first/{kernel}" for kernel in two} | add_gated(farm, "away", two)
    began = time.monotonic()
    with s3.stopped():
        farm.open_gates()
        [told, *_] = farm.until(lambda: waiting(farm), seconds=120)
        assert told.startswith("built, not uploaded; waits: "), told
        assert "could not" in told
        farm.until(lambda: time.monotonic() - began >= AWAY, seconds=AWAY + 60)
        assert not [name for name in farm.store.outcomes() if name.startswith("away/")]
    back = time.monotonic()
    await_all_built(farm, builds)
    with capsys.disabled():
        print(f"\naway for {back - began:.0f} s; all was published {time.monotonic() - back:.1f} s after the return")
    await_rest(farm)
    check_all(farm, builds)
    assert all(len(farm.builds(name)) == 1 for name in builds), "no build was thrown away"


def test_a_server_that_hangs_is_noticed_and_waited_for(farm: LiveFarm, s3: FaultyS3, two: list[str]) -> None:
    await_all_built(farm, {f"first/{kernel}" for kernel in two})
    builds = add_gated(farm, "hung", two)
    with s3.misbehaving(hanging):
        farm.open_gates()
        [told, *_] = farm.until(lambda: waiting(farm), seconds=240)
        assert "timeout" in told.lower()
    await_all_built(farm, builds)
    assert all(len(farm.builds(name)) == 1 for name in builds)
    await_rest(farm)
    assert faults_of_bucket(farm.bucket) == []


def test_a_server_that_refuses_and_breaks_off_at_random(
    farm: LiveFarm, s3: FaultyS3, two: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"odd{number}" for number in range(4)]
    s3.met.clear()
    with s3.misbehaving(at_random(7, 0.3, ("500", "503", "cut"))):
        add(farm, {name: source("hello") for name in names})
        builds = {f"{name}/{kernel}" for name in names for kernel in two}
        await_all_built(farm, builds)
        assert faults_of_bucket(s3.bucket) == []
    await_rest(farm)
    assert s3.met.keys() == {"500", "503", "cut"}
    assert all(len(farm.builds(name)) == 1 for name in builds)
    assert faults_of_bucket(s3.bucket) == []
    no_fault_was_remembered(farm)
    with capsys.disabled():
        print(f"\nfaults met by {len(builds)} builds: {dict(s3.met)}")
