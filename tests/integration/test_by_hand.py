"""`kmodci build` without a farm: a real kernel, compiler and container, and nothing left of them."""

import hashlib
import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.sandbox import LABEL
from support.farm import TARGET, LiveFarm, live_farm, source, until
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def farm(
    folder: Path, repo: AptRepo, publish: Callable[..., None], kernels: dict[str, RealKernel]
) -> Iterator[LiveFarm]:
    """One that is never started."""
    publish(repo, "old")
    sleeping = {"build": "echo asleep >&2; sleep inf", "artifacts": ["*.ko"]}
    modules = {
        "hello": source("hello"),
        "broken": source("broken"),
        "late": source("hello", **sleeping, limits={"time": "3s"}),
        "asleep": source("hello", **sleeping),
    }
    with live_farm(folder, repo, modules) as farm:
        yield farm


def containers(farm: LiveFarm) -> list[str]:
    """What runs for this farm's builds by hand."""
    client = farm.engine.client()
    found = client.containers(all=True, filters={"label": LABEL})
    client.close()
    return [c["Id"] for c in found if c["Labels"][LABEL].startswith(f"{farm.engine.farm}-by-hand-")]


def assert_nothing_left(farm: LiveFarm) -> None:
    assert containers(farm) == []
    assert not (farm.state / "s3.pid").exists()
    assert list((farm.state / "inputs").iterdir()) == []
    assert list((farm.state / "scratch").iterdir()) == []


@pytest.mark.parametrize("option", ["", "--look"])
def test_what_is_built_is_written_and_not_published(
    farm: LiveFarm, kernels: dict[str, RealKernel], tmp_path: Path, option: str
) -> None:
    release = kernels["old"].release
    out = tmp_path / "out"
    command = farm.kmodci("build", f"hello/{TARGET}/{release}", "--output", str(out), *filter(None, [option]))
    assert command.end() == 0, command.said
    facts = json.loads((out / "facts.json").read_text())
    (file,) = facts["files"]
    assert file["vermagic"].split()[0] == release
    content = (out / file["name"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == file["sha256"]
    assert command.said.splitlines()[-1] == str(out / file["name"])
    assert "CC [M]" in command.said
    with farm.s3_server.available() as bucket:
        assert bucket.get(facts["headers"]) is not None
        assert [*bucket.list("modules/"), *bucket.list("index/")] == []
    assert farm.store.outcomes() == {}
    assert_nothing_left(farm)


@pytest.mark.parametrize(
    ("module", "told"),
    [("broken", "broken/.*: error: .*error: "), ("late", "late/.*: stopped by its limit: 3 s of time")],
)
def test_what_cannot_be_built_fails(
    farm: LiveFarm, kernels: dict[str, RealKernel], tmp_path: Path, module: str, told: str
) -> None:
    command = farm.kmodci("build", f"{module}/{TARGET}/{kernels['old'].release}", "--output", str(tmp_path / "out"))
    assert command.end() == 1, command.said
    assert re.search(told, command.said.splitlines()[-1]), command.said
    assert not (tmp_path / "out").exists()
    assert_nothing_left(farm)


def test_what_is_not_there_is_told_with_the_nearest(farm: LiveFarm, kernels: dict[str, RealKernel]) -> None:
    release = kernels["old"].release
    command = farm.kmodci("build", f"hello/{TARGET}/{release}x")
    assert command.end() == 2, command.said
    assert f"the nearest are: {TARGET}/{release}" in command.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(farm: LiveFarm, kernels: dict[str, RealKernel], number: signal.Signals) -> None:
    command = farm.kmodci("build", f"asleep/{TARGET}/{kernels['old'].release}")
    until(lambda: "\nasleep\n" in command.said or not command.running, told=lambda: command.said)
    assert len(containers(farm)) == 1, command.said
    command.send(number)
    command.send(signal.SIGINT)
    assert command.end() == 130, command.said
    assert_nothing_left(farm)
