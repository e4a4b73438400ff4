"""A master that is killed again and again while a run goes on: nothing is lost, nothing is done twice that shows."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from support.chaos import Stopwatch, await_all_built, await_rest, check_all, repeats, start_master
from support.farm import TARGET, LiveFarm, live_farm, source
from support.faultys3 import FaultyS3
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(900)]

SEED = int(os.environ.get("KMODCI_CHAOS_SEED", "0")) or random.randrange(1, 10_000)
KILLS, MODULES = 20, 10
EARLY = 2.0
"""seconds after a master took the lock of its state, in which it starts builds before it calls itself active"""


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("farm")


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[FaultyS3]:
    with FaultyS3(tmp_path) as server:
        yield server


@pytest.fixture
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None], s3: FaultyS3) -> Iterator[LiveFarm]:
    publish(repo, "old", "old-cloud", "new", "new-cloud")
    modules = {f"m{number}": source("hello") for number in range(MODULES)}
    with live_farm(folder, repo, modules, bucket=s3.settings) as made:
        yield made


def test_kill_9_of_the_master_at_random_moments(
    farm: LiveFarm, s3: FaultyS3, kernels: dict[str, RealKernel], capsys: pytest.CaptureFixture[str]
) -> None:
    builds = {f"m{number}/{TARGET}/{kernel.release}" for number in range(MODULES) for kernel in kernels.values()}
    assert len(builds) >= 40
    dice, watch = random.Random(SEED), Stopwatch()
    up = farm.up()
    farm.until(farm.store.outcomes, seconds=240)
    # the first life says how long it takes here until a build has ended, so that every stage of one is met
    cycle = watch.seconds
    moments = [dice.uniform(0, EARLY if number % 5 in (1, 3) else cycle) for number in range(KILLS)]
    up.kill()
    pid, ends = farm.master_pid(), []
    for moment in moments:
        time.sleep(moment)  # it is what is tested
        os.kill(pid, signal.SIGKILL)
        farm.until(lambda: farm.master.pid() is None)
        ends.append(len(farm.store.outcomes()))
        starting = start_master(farm)
        pid = farm.master_pid()
    starting.join()
    left = len(builds) - ends[-1]
    await_all_built(farm, builds)
    await_rest(farm)
    check_all(farm, builds)
    assert "Conflict" not in farm.log, "nobody removes or makes a container that somebody else is at"
    for key, contents in s3.writes.items():
        if key.endswith((".ko", ".ko.xz", ".ko.zst")):
            assert len(set(contents)) == 1, f"{key} was written with different content"
    twice = sum(len(c) > 1 for key, c in s3.writes.items() if ".ko" in key)
    with capsys.disabled():
        print(
            f"\nseed {SEED}: {KILLS} kills, {min(moments):.2f} to {max(moments):.2f} s after a start;"
            f" {len(builds)} builds, {left} left after the last kill; {watch.seconds:.0f} s;"
            f" steps repeated: {dict(repeats(farm))}; module files written again: {twice}"
        )
