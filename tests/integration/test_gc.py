"""The builder `gc` of a running farm: forced as a person forces it, with a real engine and images of its own."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.engine import Engine
from kmodci.keys import RETIRED
from kmodci.publishing import version_index
from support.farm import TARGET, LiveFarm, live_farm, source
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]

DAY = 86_400
# a recipe of long ago: a digest that no other farm on this engine has
OLD_IMAGE = f"toolchain-gcc-12:{os.getpid():016x}"
OLD_KEY = f"images/{OLD_IMAGE.replace(':', '-')}.tar.zst"


@pytest.fixture(scope="module")
def farm(
    folder: Path, repo: AptRepo, kernels: dict[str, RealKernel], publish: Callable[..., None]
) -> Iterator[LiveFarm]:
    publish(repo, "old")
    with live_farm(folder, repo, {"hello": source("hello")}) as made:
        yield made


def age(farm: LiveFarm, days: float) -> None:
    """As if what the bucket has had been written so long ago."""
    when = time.time() - days * DAY
    for path in (farm.state / "s3" / "kmodci").rglob("*"):
        if path.is_file():
            os.utime(path, (when, when))


def force(farm: LiveFarm, old_number: int = 0) -> str:
    """Runs the builder; returns its log."""
    status, answer = farm.call("forceschedulers/gc-force", "force", {"builderid": farm.builder("gc")["builderid"]})
    assert status == 200, answer

    def ended() -> dict[str, object] | None:
        builds = [build for build in farm.builds("gc") if build["number"] > old_number and build["complete"]]
        return builds[-1] if builds else None

    build = farm.until(ended)
    log = farm.step_log(build, "gc")
    assert build["results"] == 0, log
    return log


@pytest.fixture
def old_image(farm: LiveFarm) -> Iterator[Engine]:
    """An image of an old recipe, on the engine and in the bucket."""
    client = farm.engine.client()
    name, _, tag = OLD_IMAGE.partition(":")
    client.import_image_from_data(b"\0" * 1024, repository=f"kmodci/{name}", tag=tag)
    yield farm.engine
    farm.engine.remove_image(f"kmodci/{OLD_IMAGE}")
    client.close()


def test_a_version_is_retired_and_removed_while_the_farm_runs(
    farm: LiveFarm, kernels: dict[str, RealKernel], old_image: Engine
) -> None:
    build_id = f"hello/{TARGET}/{kernels['old'].release}"
    farm.write("kmodci.yml", {**json.loads((farm.config / "kmodci.yml").read_text()), "retention": {"versions": 1}})
    up = farm.up()
    first = farm.await_built(build_id)
    farm.write_modules({"hello": {**source("hello"), "version": "2.0"}})
    farm.reconfigure()
    second = farm.await_built(build_id, after=first.finished)
    farm.until(lambda: version_index(farm.bucket, "hello", "2.0").kernels)
    farm.bucket.put(OLD_KEY, b"an image")
    assert "0        0B  in all" in force(farm)
    up.send(signal.SIGINT)
    up.end()
    age(farm, 8)  # what serves the bucket looks at a file's time once
    up = farm.up()
    log = force(farm, 1)
    assert "index of hello 1.0: 1 newer versions were built" in log
    assert f"kmodci/{OLD_IMAGE}" in log
    assert f"kmodci/{OLD_IMAGE}" not in old_image.tags()
    left = {found.key for found in farm.bucket.list()}
    assert not [key for key in left if key.startswith("index/hello/1.0")]
    assert OLD_KEY not in left
    assert first.manifest in left
    retired = json.loads(farm.bucket.get(RETIRED) or b"")["versions"]
    farm.bucket.put_json(RETIRED, {"versions": {name: at - 8 * DAY for name, at in retired.items()}})
    assert "modules of hello 1.0" in force(farm, 2)
    left = {found.key for found in farm.bucket.list()}
    assert not [key for key in left if key.startswith("modules/hello/1.0")]
    assert second.manifest in left
    assert farm.manifest(second).headers in left
    # what it had published is not asked for again at a start
    up.send(signal.SIGINT)
    up.end()
    assert farm.up("--once").end() == 0
    assert farm.outcome(build_id) == second
    assert "the index is behind" not in farm.log
