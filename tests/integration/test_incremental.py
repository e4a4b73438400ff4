"""Only the difference is built: a second start, a new version of a module, a new kernel, a new toolchain recipe."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.keys import run_key
from kmodci.runrecords import ChunkRecord, MatrixRecord, SummaryRecord
from kmodci.runs import Ending, RunEntry
from support.farm import TARGET, LiveFarm, live_farm, source
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]


@pytest.fixture
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None]) -> Iterator[LiveFarm]:
    publish(repo, "old", "old-cloud")
    with live_farm(folder, repo, {"one": source("hello"), "two": source("hello")}) as made:
        yield made


def once(farm: LiveFarm) -> None:
    assert farm.up("--once").end() == 0, farm.told()


def newest_run(farm: LiveFarm) -> tuple[RunEntry, ...]:
    """The entries of the newest run, which has ended, and of which the bucket tells the same."""
    run = farm.runs.runs(limit=1)[0]
    entries = farm.runs.entries(run.id)
    assert not run.is_open
    with farm.s3_server:
        read = {part: farm.bucket.get(run_key(run.id, part)) for part in ("matrix", "chunk-000", "summary")}
    assert None not in read.values()
    matrix = MatrixRecord.model_validate_json(read["matrix"] or b"")
    chunk = ChunkRecord.model_validate_json(read["chunk-000"] or b"")
    summary = SummaryRecord.model_validate_json(read["summary"] or b"")
    assert [build.build_id for build in matrix.builds] == [str(entry.build_id) for entry in entries]
    assert [build.build_id for build in chunk.builds] == [str(entry.build_id) for entry in entries]
    assert summary.endings == Counter(entry.ending for entry in entries)
    assert sum(summary.endings.values()) == summary.planned == len(entries)
    return entries


def whys(farm: LiveFarm) -> dict[str, int]:
    entries = newest_run(farm)
    assert {entry.ending for entry in entries} == {Ending.BUILT}
    return Counter(str(entry.why) for entry in entries)


def test_only_the_difference_is_built(
    farm: LiveFarm, repo: AptRepo, publish: Callable[..., None], kernels: dict[str, RealKernel]
) -> None:
    once(farm)
    assert whys(farm) == {"new module": 4}
    first = farm.store.outcomes()

    started = farm.log.count("Container started")
    once(farm)
    assert len(farm.runs.runs()) == 1, "nothing is new, so there is no run"
    assert farm.log.count("Container started") == started
    assert farm.store.outcomes() == first

    asked = len(repo.requests)
    farm.write_modules({"one": source("hello") | {"version": "1.1"}, "two": source("hello")})
    once(farm)
    assert whys(farm) == {"new module version": 2}
    assert [path for path in repo.requests[asked:] if path.endswith(".deb")] == [], "the bundles are there"

    publish(repo, "new")
    once(farm)
    assert whys(farm) == {"new kernel": 2}
    assert {entry.build_id.release for entry in newest_run(farm)} == {kernels["new"].release}
    assert len(farm.store.outcomes()) == 6
    assert {name.split("/")[1] for name in farm.store.outcomes()} == {TARGET}
