"""What is lost, and what one command brings back: docs/disaster-recovery.md, done for real. The tests are in order.

And what a doctor says before a farm is started, beside one that runs, and after it was stopped.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.model import Status
from support.farm import TARGET, LiveFarm, live_farm, source
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None]) -> Iterator[LiveFarm]:
    publish(repo, "old", "old-cloud")
    broken = source("hello", build='echo "error: it is broken" >&2; exit 1', artifacts=["hello.ko"])
    with live_farm(
        folder, repo, {"hello": source("hello"), "broken": broken}, poll={"interval": "30s"}, log="json"
    ) as made:
        yield made


@pytest.fixture(scope="module")
def old(kernels: dict[str, RealKernel]) -> str:
    return f"hello/{TARGET}/{kernels['old'].release}"


@pytest.fixture(scope="module")
def cloud(kernels: dict[str, RealKernel]) -> str:
    return f"hello/{TARGET}/{kernels['old-cloud'].release}"


def once(farm: LiveFarm) -> str:
    """One start, until all is built."""
    command = farm.kmodci("up", "--scope", "all", "--module", "*", "--once")
    # what is broken fails
    assert command.end() == 1, command.said
    return command.said


def coverage(farm: LiveFarm) -> Any:
    command = farm.kmodci("coverage", "--json")
    assert command.end() == 0, command.said
    return json.loads(command.said)


def finished(farm: LiveFarm) -> dict[str, tuple[Status, float]]:
    return {name: (each.status, each.finished) for name, each in farm.store.outcomes().items()}


def builds(farm: LiveFarm) -> int:
    """How many there were since Buildbot's database was made."""
    with closing(sqlite3.connect(farm.state / "master" / "state.sqlite")) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM builds")
    return int(count)


def doctor(farm: LiveFarm) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """Its exit status, and what is not good, by part."""
    command = farm.kmodci("doctor", "--json")
    status = command.end()
    told = json.loads(command.said[command.said.index("{") :])
    found: dict[str, list[dict[str, str]]] = {}
    for report in told["reports"]:
        for each in report["findings"]:
            if each["level"] != "good":
                found.setdefault(report["part"], []).append({**each, "where": report["where"]})
    return status, found


def lose(farm: LiveFarm) -> None:
    """Both databases; a farm that is opened anew makes new ones."""
    for path in (*farm.state.glob("kmodci.sqlite*"), *(farm.state / "master").glob("state.sqlite*")):
        path.unlink()
    farm.store.close()
    farm.__dict__.pop("store", None)
    farm.__dict__.pop("runs", None)


def test_a_doctor_before_the_first_start(farm: LiveFarm) -> None:
    before = sorted(farm.state.rglob("*"))
    status, found = doctor(farm)
    assert (status, [each for part in found.values() for each in part if each["level"] == "wrong"]) == (0, []), found
    assert "there is none yet" in found["bucket"][0]["what"]
    assert sorted(farm.state.rglob("*")) == before


def test_a_doctor_beside_a_farm_that_runs(farm: LiveFarm, old: str, cloud: str) -> None:
    command = farm.up()
    farm.await_built(old)
    farm.await_built(cloud)
    farm.await_outcome(old.replace("hello", "broken"))
    farm.await_outcome(cloud.replace("hello", "broken"))
    farm.until(lambda: farm.status("healthz") == 200)
    before = {each.key for each in farm.bucket.list("state/")}
    status, found = doctor(farm)
    assert status == 0, found
    assert {each.key for each in farm.bucket.list("state/doctor/")} == set()
    assert before <= {each.key for each in farm.bucket.list("state/")}
    command.send(2)
    assert command.end() == 130, command.said
    assert not farm.containers()


def test_a_build_can_be_followed_through_the_log(farm: LiveFarm, old: str) -> None:
    lines = [json.loads(line) for line in farm.log.splitlines()]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    told = [line for line in lines if line.get("build_id") == old]
    own = [line for line in told if line["message"].startswith(f"{old}: ")]
    assert own[0]["message"].startswith(f"{old}: begins on local-")
    steps = [line["step"] for line in own if "step" in line]
    assert steps == ["headers", "source", "build", "verify", "publish"]
    assert own[-1]["message"].startswith(f"{old}: built")
    [run] = {line["run"] for line in own}
    assert run in {each.id for each in farm.runs.runs()}
    assert {line["host"] for line in own[1:]} == {"local"}
    assert {line["worker"] for line in own} <= {"local-1", "local-2"}
    # Buildbot's own words about it are among them
    assert len(told) > len(own)
    # and no farm with all that it holds
    assert not any("Farm(" in line["message"] or "Credentials(" in line["message"] for line in lines)
    assert json.loads((farm.state / "s3-credentials.json").read_text())["secret"] not in farm.log


def test_a_doctor_afterwards_tells_what_others_may_read(farm: LiveFarm) -> None:
    secret = farm.state / "s3-credentials.json"
    secret.chmod(0o644)
    try:
        status, found = doctor(farm)
    finally:
        secret.chmod(0o600)
    assert status == 1
    [told] = found["permissions"]
    assert told["advice"].startswith(f"chmod 600 {secret}")
    # the bucket is not opened with them either
    assert found["bucket"][0]["level"] == "wrong"
    assert json.loads(secret.read_text())["secret"] not in json.dumps(found)
    assert doctor(farm)[0] == 0
    command = farm.kmodci("images", "--make")
    assert command.end() == 0, command.said
    assert "is on the engine" in command.said


def test_a_kernel_is_gone_from_its_repository(
    farm: LiveFarm, repo: AptRepo, kernels: dict[str, RealKernel], cloud: str
) -> None:
    for deb in kernels["old-cloud"].debs:
        if kernels["old-cloud"].release in deb.name:
            for place in repo.root.rglob(deb.name):
                place.unlink()
    repo.publish()
    once(farm)
    [gone] = [kernel for kernel in farm.store.kernels().values() if kernel.gone]
    assert gone.release in cloud


def test_the_database_is_lost_and_one_command_knows_everything_again(farm: LiveFarm) -> None:
    told, kernels = coverage(farm), farm.store.kernels()
    lose(farm)
    command = farm.kmodci("index", "rebuild")
    assert command.end() == 0, command.said
    assert "rows that an earlier database had, and this one has again" in command.said
    assert coverage(farm) == told
    assert farm.store.kernels() == kernels


def test_the_database_is_lost_and_a_start_builds_nothing_again(farm: LiveFarm) -> None:
    told, kernels, before = coverage(farm), farm.store.kernels(), finished(farm)
    assert {status for status, _ in before.values()} == {Status.BUILT, Status.FAILED}
    lose(farm)
    once(farm)
    assert builds(farm) == 0
    assert coverage(farm) == told
    assert farm.store.kernels() == kernels
    assert {name: status for name, (status, _) in finished(farm).items()} == {
        name: status for name, (status, _) in before.items()
    }


def test_the_bucket_is_restored_from_before(
    farm: LiveFarm, repo: AptRepo, publish: Callable[..., None], old: str, tmp_path: Path
) -> None:
    bucket = farm.state / "s3"
    shutil.copytree(bucket, tmp_path / "backup")
    # and nobody misses what can be made again
    for name in ("cache", "scratch", "inputs", "workers"):
        shutil.rmtree(farm.state / name)
    publish(repo, "new-cloud")
    once(farm)
    before = finished(farm)
    shutil.rmtree(bucket)
    shutil.copytree(tmp_path / "backup", bucket)
    once(farm)
    after = finished(farm)
    again = {name for name, each in after.items() if each != before[name]}
    assert before.keys() == after.keys()
    assert {name.partition("/")[0] for name in again} == {"hello"}
    assert len(again) == 1
    assert old not in again


def test_the_bucket_is_lost_and_built_again_from_what_the_database_knows(farm: LiveFarm, old: str, cloud: str) -> None:
    before = finished(farm)
    shutil.rmtree(farm.state / "s3")
    once(farm)
    after = finished(farm)
    assert after[old][0] is Status.BUILT
    assert after[old][1] > before[old][1]
    # what failed is not tried again: nothing of it was in the bucket
    assert {name: each for name, each in after.items() if name.startswith("broken/")} == {
        name: each for name, each in before.items() if name.startswith("broken/")
    }
    # its headers were on no mirror and no disk
    assert after[cloud][0] is Status.UNAVAILABLE
    outcome = farm.outcome(old)
    assert outcome is not None
    with farm.s3_server.available():
        assert farm.manifest(outcome).build_id == old
