"""The pages of the runs, asked of a farm that runs: what they tell, and what their buttons do."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.keys import run_key
from kmodci.runs import Ending, Run
from support.farm import LiveFarm, gated, live_farm, source
from support.webpages import FORM, Links, ask, page, told

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]


@contextmanager
def started(folder: Path, repo: AptRepo) -> Iterator[LiveFarm]:
    """Up, with one run of seven builds: of the six that wait to be let go, two run; the seventh does not compile."""
    broken = source("broken", kernels={"include": ["*/*-cloud-amd64"]})
    modules = {"broken": broken, "first": gated(), "second": gated(), "third": gated()}
    with live_farm(folder, repo, modules) as made:
        made.up()
        made.until(lambda: any(name.startswith("broken/") for name in made.store.outcomes()))
        made.await_running(2)
        yield made


@pytest.fixture(scope="module")
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None]) -> Iterator[LiveFarm]:
    """For all of these tests but the last, in their order."""
    publish(repo, "old", "old-cloud")
    with started(folder, repo) as made:
        yield made


def press(farm: LiveFarm, run: Run, running: str, *, origin: str | None = None) -> int:
    """What the button of the page does. Returns the HTTP status."""
    headers = {"Content-Type": FORM} | ({"Origin": origin} if origin else {})
    status, answered, _ = ask(farm, f"kmodci/runs/{run.id}/cancel", headers, {"running": running})
    if status == 303:
        # relative, for the master may be below any path
        assert answered["Location"] == f"../../../kmodci/runs/{run.id}"
    return status


def first_run(farm: LiveFarm) -> Run:
    return farm.runs.runs()[-1]


def endings(farm: LiveFarm, run: Run) -> dict[str, Ending | None]:
    return {str(entry.build_id): entry.ending for entry in farm.runs.entries(run.id)}


def await_end(farm: LiveFarm, run: Run) -> dict[str, object]:
    """The summary in the bucket, once it is there."""
    farm.until(lambda: not (farm.runs.run(run.id) or run).is_open)
    data = farm.bucket.get(run_key(run.id, "summary"))
    assert data is not None
    summary: dict[str, object] = json.loads(data)
    return summary


def links_of(farm: LiveFarm, build: Mapping[str, Any]) -> list[dict[str, str]]:
    """The links of a build's steps."""
    steps = farm.get(f"builds/{build['buildid']}/steps")["steps"]
    return [url for step in steps for url in step["urls"]]


def test_a_page_tells_all_of_a_run_and_refuses_what_it_does_not_know(farm: LiveFarm) -> None:
    run = first_run(farm)
    here = f"kmodci/runs/{run.id}"
    farm.until(lambda: told(farm, here)["failed"] == 1)
    seen = told(farm, here)
    counts = {name: seen[name] for name in ("planned", "built", "failed", "left", "state")}
    assert counts == {"planned": 7, "built": 0, "failed": 1, "left": 6, "state": "open"}
    assert seen["why"] == {"new module": 7}
    [listed] = told(farm, "kmodci/runs")["runs"]
    assert {name: listed[name] for name in counts} == counts

    whole = page(farm, here)
    links = Links(whole).found
    running = farm.running()
    for build in running.values():
        assert f"{farm.url}/#/builders/{build['builderid']}/builds/{build['number']}" in links
    for name in endings(farm, run):
        builder = farm.builder(name)
        assert builder and f"{farm.url}/#/builders/{builder['builderid']}" in links
        for build in farm.builds(name):
            # and from the build to the run, once its first step has begun
            urls = farm.until(partial(links_of, farm, build))
            assert urls == [{"name": f"run {run.id}", "url": f"{farm.url}/{here}"}]
    failed = next(name for name, ending in endings(farm, run).items() if ending is Ending.FAILED)
    outcome = farm.outcome(failed)
    assert outcome and outcome.build_url in links
    only = page(farm, f"{here}?ending=failed").partition("<h2 id")[2]
    assert [name for name in endings(farm, run) if name in only] == [failed]
    assert here in {link.removeprefix("../") for link in Links(page(farm, "kmodci/runs")).found}
    # from below a slash, one more step up
    assert f"../../../{here}/cancel" in Links(page(farm, f"{here}/")).found

    for path, status in {
        "kmodci/runs/2020-01-01-000000": 404,
        "kmodci/runs/..%2f..%2fetc": 404,
        "kmodci/runs/%3Cscript%3E": 404,
        f"{here}/other": 404,
        "kmodci/other": 404,
        f"{here}?ending=%3Cscript%3E": 400,
    }.items():
        answered, headers, body = ask(farm, path)
        assert (answered, "<script>" in body) == (status, False), path
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_menu_of_buildbot_leads_there(farm: LiveFarm) -> None:
    config = json.loads(page(farm, "config"))
    pages = {entry["page"]: entry["caption"] for entry in config["plugins"]["kmodci"]}
    names = ("Coverage", "Failures", "Runs", "Sources", "Hosts")
    assert pages == {f"kmodci/{name.lower()}": name for name in names}
    for path, caption in pages.items():
        assert f"<h1>{caption}</h1>" in page(farm, path)
    assert "buildbotSetupPlugin" in page(farm, "plugins/kmodci/scripts.js")
    for name in ("styles.css", "pages.css"):
        assert "{" in page(farm, f"plugins/kmodci/{name}")


def test_a_forced_build_is_a_run_that_can_be_cancelled(farm: LiveFarm) -> None:
    failed = next(name for name in farm.store.outcomes() if name.startswith("broken/"))
    module, _, kernel = failed.partition("/")
    status, answer = farm.force(module=module, kernel=kernel)
    assert status == 200, answer
    forced = farm.until(lambda: next((run for run in farm.runs.runs() if list(endings(farm, run)) == [failed]), None))
    farm.until(lambda: len(farm.get("buildrequests?complete=false&claimed=false")["buildrequests"]) == 5)
    assert press(farm, forced, "let-end", origin=farm.url) == 303
    assert await_end(farm, forced)["endings"] == {"cancelled": 1}
    farm.until(lambda: len(farm.get("buildrequests?complete=false&claimed=false")["buildrequests"]) == 4)
    assert len(farm.builds(failed)) == 1


def test_what_is_queued_is_cancelled_and_what_runs_is_let_end(farm: LiveFarm) -> None:
    run, running = first_run(farm), farm.running()
    for origin in (None, "null", "https://example.org", f"{farm.url}.example.org"):
        assert press(farm, run, "stop", origin=origin) == 403, origin
    wrong = ask(farm, f"kmodci/runs/{run.id}/cancel", {"Content-Type": "text/plain", "Origin": farm.url}, {})
    assert wrong[0] == 415
    assert press(farm, run, "perhaps", origin=farm.url) == 400
    assert first_run(farm) == run, "nothing of this did anything"

    queued = {name for name, ending in endings(farm, run).items() if ending is None} - set(running)
    assert len(queued) == 4
    assert press(farm, run, "let-end", origin=farm.url) == 303
    farm.until(lambda: not farm.get("buildrequests?complete=false&claimed=false")["buildrequests"])
    ended = endings(farm, run)
    assert {ended[name] for name in queued} == {Ending.CANCELLED}
    assert {ended[name] for name in running} == {None}
    assert not any(farm.is_complete(build) for build in running.values())
    assert "cancelled by kmodci" in page(farm, f"kmodci/runs/{run.id}")

    farm.open_gates()
    for name in running:
        farm.await_built(name)
    summary = await_end(farm, run)
    assert summary["cancelled"] == "kmodci"
    assert summary["endings"] == {"built": 2, "failed": 1, "cancelled": 4}
    assert press(farm, run, "stop", origin=farm.url) == 409, "it has ended"
    holds = {
        name: hold for name, hold in farm.runs.holds().items() if name in ended and ended[name] is not Ending.FAILED
    }
    assert set(holds) == queued and {hold.until for hold in holds.values()} == {math.inf}

    # what comes next is planned without them; and a reconfig leaves the pages where they are
    before = len(farm.runs.runs())
    farm.write_modules({**farm.modules, "hello": source("hello")})
    farm.reconfigure()
    newer = farm.until(lambda: farm.runs.runs()[0] if len(farm.runs.runs()) > before else None)
    planned = told(farm, f"kmodci/runs/{newer.id}")["builds"]
    assert {build["build_id"].partition("/")[0] for build in planned} == {"hello"}
    assert all(farm.builds(name) == [] for name in queued)


def test_what_runs_is_stopped_if_it_is_wished(
    repo: AptRepo, publish: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    publish(repo, "old", "old-cloud")
    with started(tmp_path_factory.mktemp("farm"), repo) as other:
        run, running = first_run(other), other.running()
        # that one has failed is in its run, too
        other.until(lambda: told(other, f"kmodci/runs/{run.id}")["failed"] == 1)
        assert press(other, run, "stop", origin=other.url) == 303
        summary = await_end(other, run)
        assert summary["endings"] == {"failed": 1, "cancelled": 6}
        assert all(other.is_complete(build) for build in running.values())
        assert len(other.runs.holds()) == 6
        seen = told(other, f"kmodci/runs/{run.id}")
        assert (seen["state"], seen["left"]) == ("cancelled by kmodci", 0)
