"""A farm that is stopped, killed and started again, and containers that die: no build is lost or done twice."""

import math
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.model import Outcome, Status
from kmodci.publishing import version_index
from kmodci.runs import Ending
from support.farm import TARGET, LiveFarm, gated, live_farm, source
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]


@pytest.fixture
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None]) -> Iterator[LiveFarm]:
    """Not started. Four builds that wait to be let go, in two slots, and one that does not wait."""
    publish(repo, "old", "old-cloud")
    hello = source("hello", kernels={"include": ["*/*-cloud-amd64"]})
    with live_farm(folder, repo, {"first": gated(), "second": gated(), "hello": hello}) as made:
        yield made


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("farm")


@pytest.fixture(scope="module")
def all_builds(kernels: dict[str, RealKernel]) -> set[str]:
    old, cloud = (f"{TARGET}/{kernels[name].release}" for name in ("old", "old-cloud"))
    return {f"{module}/{kernel}" for module in ("first", "second") for kernel in (old, cloud)} | {f"hello/{cloud}"}


def outcomes(farm: LiveFarm) -> dict[str, Outcome]:
    return farm.store.outcomes()


def results(farm: LiveFarm, build_id: str) -> list[int]:
    """How the builds of one builder ended, in Buildbot's numbers, once all have."""

    def all_ended() -> list[int] | None:
        found = [build["results"] for build in farm.builds(build_id)]
        return None if None in found else found

    return farm.until(all_ended)


def is_left(farm: LiveFarm) -> list[str]:
    """What of a farm still runs."""
    left = [f"container {name}" for name in farm.containers()]
    if farm.master.pid() is not None:
        left.append("master")
    for port in (farm.port, farm.port + 1):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                left.append(f"port {port}")
    return left


def let_all_go(farm: LiveFarm, count: int) -> None:
    """Opens the gates again and again until so many builds have ended: each waits for its own."""

    def ended() -> bool:
        farm.open_gates()
        return len(outcomes(farm)) >= count

    farm.until(ended)


def test_ctrl_c_lets_running_builds_end_and_a_start_resumes(farm: LiveFarm, all_builds: set[str]) -> None:
    up = farm.up()
    running = set(farm.await_running(2))
    before = set(outcomes(farm))
    up.send(signal.SIGINT)
    up.await_words("stopping")
    farm.open_gates()
    assert up.end() == 130
    assert is_left(farm) == []
    ended = outcomes(farm)
    assert set(ended) == before | running != all_builds
    assert {outcome.status for outcome in ended.values()} == {Status.BUILT}

    # and now at once
    up = farm.up()
    cancelled = set(farm.await_running(2))
    assert not cancelled & set(ended)
    up.send(signal.SIGINT)
    up.await_words("stopping")
    up.send(signal.SIGINT)
    assert up.end(seconds=60) == 130
    assert is_left(farm) == []
    assert not cancelled & set(outcomes(farm)), "a build that was cancelled by the farm's end is not a failed one"

    up = farm.up("--once")
    let_all_go(farm, len(all_builds))
    assert up.end() == 0
    assert is_left(farm) == []
    after = outcomes(farm)
    assert set(after) == all_builds
    assert {outcome.status for outcome in after.values()} == {Status.BUILT}
    assert {name: after[name] for name in ended} == ended, "what was built is not built again"


def test_kill_9_of_everything_loses_nothing(farm: LiveFarm, all_builds: set[str]) -> None:
    up = farm.up()
    farm.await_running(2)
    before = outcomes(farm)
    pid = farm.master_pid()
    up.kill()
    os.kill(pid, signal.SIGKILL)
    farm.until(lambda: farm.master.pid() is None)
    orphans = set(farm.containers().values())
    assert orphans

    farm.up()
    farm.until(lambda: not orphans & set(farm.containers().values()))
    let_all_go(farm, len(all_builds))
    after = outcomes(farm)
    assert {outcome.status for outcome in after.values()} == {Status.BUILT}
    assert {name: after[name] for name in before} == before
    for name in sorted(all_builds):
        complete = results(farm, name)
        assert complete.count(0) == 1, (name, complete)
        module, _, release = name.split("/")
        assert farm.bucket.get(f"index/{module}/1.0/debian/amd64/{release}.json")
    for module in ("first", "second"):
        releases = {name.rpartition("/")[2] for name in all_builds if name.startswith(module)}

        def indexed(module: str = module) -> list[str]:
            return sorted(kernel.release for kernel in version_index(farm.bucket, module, "1.0").kernels)

        assert farm.until(lambda: len(indexed()) >= 2)
        assert indexed() == sorted(releases)


def test_a_master_that_dies_is_told_and_nothing_else_is_left(farm: LiveFarm) -> None:
    up = farm.up()
    farm.await_running(1)
    os.kill(farm.master_pid(), signal.SIGKILL)
    assert up.end() == 1
    assert "the master has ended by itself" in up.said
    assert is_left(farm) == []


def test_a_farm_is_detached_is_not_started_twice_and_is_stopped(farm: LiveFarm) -> None:
    farm.write_modules({"hello": source("hello")})
    up = farm.up("--detach")
    assert up.end() == 0
    assert farm.get("masters")["masters"][0]["active"]
    assert "kmodci fetch hello/" in up.said

    second = farm.kmodci("up", "--scope", "all")
    assert second.end() == 1
    assert f"is running on {farm.state} already" in second.said
    assert f"http://127.0.0.1:{farm.port}/" in second.said
    assert farm.get("masters")["masters"][0]["active"], "the first is not disturbed"

    assert farm.kmodci("up", "--stop").end() == 0
    assert is_left(farm) == []
    assert farm.kmodci("up", "--stop").end() == 0, "nothing to stop is no error"


class TestContainers:
    def test_a_container_that_dies_is_replaced(self, farm: LiveFarm) -> None:
        farm.up()
        name, build = next(iter(farm.await_running(1).items()))
        farm.kill_container(farm.container_of(build))
        farm.until(lambda: len(farm.builds(name)) > 1)
        farm.until(lambda: farm.open_gates() or farm.outcome(name))
        farm.await_built(name)
        assert results(farm, name) == [5, 0], "retry, then success"

    def test_containers_that_always_die_are_given_up(self, farm: LiveFarm) -> None:
        farm.write_modules({"first": gated(kernels={"include": ["*/*-cloud-amd64"]})})
        farm.up()
        killed = 0

        def given_up() -> bool:
            nonlocal killed
            for build in farm.running().values():
                farm.kill_container(farm.container_of(build))
                farm.until(partial(farm.is_complete, build))
                killed += 1
            return bool(farm.runs.holds())

        farm.until(given_up)
        [hold] = farm.runs.holds().values()
        assert hold.reason.startswith("the farm failed it 4 times: ")
        assert hold.tries == 1 and hold.until > hold.noted, "it is tried again after a pause"
        assert killed == 4
        assert outcomes(farm) == {}, "nothing is said against the module"
        run = farm.until(lambda: next(iter(farm.runs.runs(is_open=False)), None))
        assert [entry.ending for entry in farm.runs.entries(run.id)] == [Ending.FAULT]

    def test_a_build_that_a_person_stops_stays_stopped(self, farm: LiveFarm) -> None:
        farm.write_modules({"first": gated(kernels={"include": ["*/*-cloud-amd64"]})})
        up = farm.up()
        [(name, build)] = farm.await_running(1).items()
        farm.stop_build(build)
        farm.until(farm.runs.holds)
        hold = farm.runs.holds()[name]
        assert (hold.reason, hold.tries, hold.until) == ("cancelled: enough", 0, math.inf)
        up.await_words("watching for new kernels")
        assert len(farm.builds(name)) == 1
        assert outcomes(farm) == {}


@contextmanager
def refusing(farm: LiveFarm) -> Iterator[None]:
    """The farm's database takes no word about how a build ended."""
    tables = ("kmodci_outcomes", "kmodci_holds")
    for table in tables:
        refusal = f"CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END"
        with farm.store.transaction("refuse") as connection:
            connection.exec_driver_sql(refusal)
    yield
    for table in tables:
        with farm.store.transaction("refuse no more") as connection:
            connection.exec_driver_sql(f"DROP TRIGGER refuse_{table}")


def test_a_build_whose_end_cannot_be_written_down_ends_and_is_built_again(farm: LiveFarm) -> None:
    farm.write_modules({"first": gated(kernels={"include": ["*/*-cloud-amd64"]})})
    farm.up()
    [(name, stopped)] = farm.await_running(1).items()
    with refusing(farm):
        farm.stop_build(stopped)
        farm.until(partial(farm.is_complete, stopped))
        built = farm.await_running(1)[name]
        farm.open_gates()
        farm.until(partial(farm.is_complete, built))
    farm.until(lambda: farm.open_gates() or farm.outcome(name))
    farm.await_built(name)
    assert results(farm, name) == [6, 5, 0], "cancelled, retry, success"


def test_a_reconfig_leaves_running_builds_alone(farm: LiveFarm) -> None:
    modules = {"first": gated(kernels={"include": ["*/*-cloud-amd64"]})}
    farm.write_modules(modules)
    farm.up()
    [(name, build)] = farm.await_running(1).items()
    farm.write_modules({**modules, "hello": source("hello", kernels={"include": ["*/*-cloud-amd64"]})})
    farm.reconfigure()
    other = name.replace("first/", "hello/")
    farm.await_built(other)
    assert not farm.is_complete(build)
    farm.open_gates()
    farm.await_built(name)
    assert results(farm, name) == [0]
    for module in ("first", "hello"):
        farm.until(lambda module=module: version_index(farm.bucket, module, "1.0").kernels)
