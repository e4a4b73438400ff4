"""The Docker engine goes away, a worker falls silent, containers are left behind: builds are tried again."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.images import recipe
from kmodci.sandbox import LABEL
from support.chaos import RETRY, SUCCESS, await_rest, check_all, let_go, results
from support.farm import ENGINE, TARGET, LiveFarm, gated, live_farm
from support.ownengine import OwnEngine
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(400)]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("farm")


@pytest.fixture(scope="module")
def repo(repo: AptRepo, publish: Callable[..., None]) -> AptRepo:
    publish(repo, "old", "old-cloud")
    return repo


@pytest.fixture(scope="module")
def image(kernels: dict[str, RealKernel]) -> str:
    return recipe(kernels["old"].toolchain, distro="debian", series="bookworm").tag


@pytest.fixture
def engine(image: str) -> Iterator[OwnEngine]:
    with OwnEngine() as made:
        made.has_images_of(ENGINE, [image])
        yield made


def test_an_engine_that_is_restarted_costs_a_second_try(
    folder: Path, repo: AptRepo, engine: OwnEngine, kernels: dict[str, RealKernel]
) -> None:
    releases = [kernels[name].release for name in ("old", "old-cloud")]
    builds = {f"{module}/{TARGET}/{release}" for module in ("first", "second") for release in releases}
    with live_farm(folder, repo, {"first": gated(), "second": gated()}, engine=engine.url) as farm:
        up = farm.up()
        running = set(farm.await_running(2))
        with engine.stopped():
            # what waits has waited for hours, as far as anybody knows
            with sqlite3.connect(farm.state / "master" / "state.sqlite", timeout=30) as database:
                database.execute(
                    "UPDATE buildrequests SET submitted_at = submitted_at - 7200"
                    " WHERE complete = 0 AND id NOT IN (SELECT buildrequestid FROM builds)"
                )
            farm.until(lambda: "overdue: " in farm.log)
            assert "while nothing runs" in farm.log
            assert up.running, "it shows the farm, and needs no engine for that"
        let_go(farm, builds)
        for name in running:
            tries = results(farm, name)
            assert set(tries[:-1]) == {RETRY}, tries
            assert tries[-1] == SUCCESS
        await_rest(farm)
        check_all(farm, builds)


def test_a_worker_that_falls_silent_and_containers_without_an_owner(
    folder: Path, repo: AptRepo, image: str, kernels: dict[str, RealKernel]
) -> None:
    builds = {f"first/{TARGET}/{kernels[name].release}" for name in ("old", "old-cloud")}
    with live_farm(folder, repo, {"first": gated()}) as farm:
        farm.up()
        farm.until(lambda: len(farm.await_running(1)) == len(builds))
        (silent, build), (other, _) = sorted(farm.running().items())
        before = farm.containers()
        ours, others = (made_by_hand(farm, image, label) for label in (farm.engine.farm, f"{farm.engine.farm}-not"))
        try:
            stop_process_of(farm, farm.container_of(build))
            farm.until(lambda: ours not in farm.containers().values(), seconds=90)
            assert others in ids(farm)
            assert before.items() <= farm.containers().items(), "those with an owner stay"
            farm.until(lambda: results(farm, silent)[0] == RETRY, seconds=120)
            assert "and is cut off" in farm.log
            assert results(farm, other) == [None], "nothing happened to the other one"
            let_go(farm, builds)
            farm.until(lambda: results(farm, silent) == [RETRY, SUCCESS])
            assert results(farm, other) == [SUCCESS]
            await_rest(farm)
        finally:
            remove(farm, others)


def made_by_hand(farm: LiveFarm, image: str, label: str) -> str:
    """Its id."""
    client = farm.engine.client()
    made: str = super(type(client), client).create_container(image, ["sleep", "600"], labels={LABEL: label})["Id"]
    client.start(made)
    client.close()
    return made


def ids(farm: LiveFarm) -> set[str]:
    client = farm.engine.client()
    found = {container["Id"] for container in client.containers(all=True)}
    client.close()
    return found


def remove(farm: LiveFarm, container: str) -> None:
    client = farm.engine.client()
    client.remove_container(container, force=True)
    client.close()


def stop_process_of(farm: LiveFarm, container: str) -> None:
    """The worker is the container's first process."""
    client = farm.engine.client()
    os.kill(client.inspect_container(container)["State"]["Pid"], signal.SIGSTOP)
    client.close()
