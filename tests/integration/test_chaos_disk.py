"""The master's disk fills, and its configuration is read again a hundred times: nothing is lost, and it goes on."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.aptrepo import AptRepo
from support.chaos import await_rest, check_all, let_go
from support.farm import TARGET, gated, live_farm
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(400)]

DISK = 400 << 20
"""bytes of the disk that a farm's state is on"""
FULL = 20
"""seconds"""
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


def fill(disk: Path) -> Path:
    """Takes all that is left. Returns what to remove again."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError:
            return ballast


def test_a_full_disk_is_told_and_outlived(
    folder: Path, repo: AptRepo, small_disk: Path, builds: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with live_farm(folder, repo, {"first": gated(), "second": gated()}) as farm:
        farm.up()
        farm.await_running(2)
        ballast = fill(small_disk)
        began = time.monotonic()
        while time.monotonic() - began < FULL:
            farm.open_gates()
            time.sleep(0.5)
        ballast.unlink()
        let_go(farm, builds)
        await_rest(farm)
        check_all(farm, builds)


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
