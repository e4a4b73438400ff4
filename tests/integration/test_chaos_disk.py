"""The master's disk fills, and its configuration is read again a hundred times: nothing is lost, and it goes on."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.errors import KmodciError
from support.chaos import await_rest, check_all, faults_of_bucket, let_go
from support.farm import TARGET, LiveFarm, gated, live_farm
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(400)]

DISK = 400 << 20
"""bytes of the disk that a farm's state is on"""
LEFT = 64 << 20
"""bytes that are left when it is nearly full"""
HANGUPS = 100


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("farm")


@pytest.fixture(scope="module")
def repo(repo: AptRepo, publish: Callable[..., None]) -> AptRepo:
    publish(repo, "old", "old-cloud")
    return repo


@pytest.fixture
def builds(kernels: dict[str, RealKernel]) -> set[str]:
    releases = [kernels[name].release for name in ("old", "old-cloud")]
    return {f"{module}/{TARGET}/{release}" for module in ("first", "second") for release in releases}


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """Where the farm's state is, on a disk of its own."""
    state = folder / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", str(state)], check=True)
    yield state
    subprocess.run(["umount", "--lazy", str(state)], check=True)


def fill(disk: Path, *, leave: int) -> Path:
    """Takes all but so many bytes. Returns what to remove again."""
    ballast = disk / f"ballast-{leave}"
    # others write meanwhile, so that how much it takes is not known before
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while shutil.disk_usage(disk).free > leave:
            file.write(b"\0" * 65536)
    return ballast


def test_a_full_disk_is_told_and_outlived(folder: Path, repo: AptRepo, small_disk: Path, builds: set[str]) -> None:
    with live_farm(folder, repo, {"first": gated(), "second": gated()}) as farm:
        up = farm.up()
        running = set(farm.await_running(2))
        nearly = fill(small_disk, leave=LEFT)
        let_go(farm, running)
        farm.until(lambda: "no more builds for now" in farm.log)
        assert set(farm.store.outcomes()) <= running | set(farm.running())

        wholly = fill(small_disk, leave=0)
        farm.until(lambda: farm.open_gates() or not up.running)
        assert up.end() == 1
        assert f"the disk of {farm.state} is full" in " ".join(up.said.split())
        assert faults_of_bucket_at(farm) == []

        nearly.unlink()
        wholly.unlink()
        farm.up()
        let_go(farm, builds)
        await_rest(farm)
        check_all(farm, builds)


def faults_of_bucket_at(farm: LiveFarm) -> list[str]:
    """With the S3 server, that ended with the farm."""
    with farm.s3_server.available() as bucket:
        return faults_of_bucket(bucket)


def test_a_hundred_hangups_while_it_builds(folder: Path, repo: AptRepo, builds: set[str]) -> None:
    with live_farm(folder, repo, {"first": gated(), "second": gated()}) as farm:
        farm.up()
        farm.await_running(2)
        pid, seen = farm.master_pid(), len(farm.log)
        for number in range(HANGUPS):
            os.kill(pid, signal.SIGHUP)
            time.sleep(0.05)  # signals that come at once are one
            if number == HANGUPS // 2:
                farm.open_gates()
        farm.until(lambda: "configuration update complete" in farm.log[seen:])
        let_go(farm, builds)
        await_rest(farm)
        check_all(farm, builds)
        assert farm.master_pid() == pid


def test_a_second_master_on_the_same_state_refuses(folder: Path, repo: AptRepo) -> None:
    with live_farm(folder, repo, {"first": gated()}) as farm:
        farm.up()
        pid = farm.master_pid()
        with pytest.raises(KmodciError, match="another master is running on"):
            # asked for where the first one does not answer, or that would pass for the second
            farm.master.start(url=f"{farm.url}/nowhere")
        assert farm.master_pid() == pid
        assert farm.get("masters")["masters"][0]["active"]
