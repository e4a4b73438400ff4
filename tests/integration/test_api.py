"""The HTTP API of a farm that runs: what is asked for overtakes a batch, once, and its log can be followed."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.settings import load
from kmodci.tokens import May, Tokens
from support.farm import TARGET, LiveFarm, live_farm, source
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(400)]
BATCH = [f"batch{number}" for number in range(8)]
WAITS = 'echo "it waits"; until [ -e /in/go ]; do sleep 0.1; done; make -C "$KERNEL_DIR" M="$PWD" modules'


class Api:
    """As a node asks, with a token."""

    def __init__(self, farm: LiveFarm) -> None:
        self.farm = farm
        self.token = Tokens(load(farm.config).tokens_file).add("node", May.BUILD, time.time())

    def ask(self, path: str, body: object = None, *, anonymous: bool = False) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Content-Type": "application/json"}
        if not anonymous:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        url = path if path.startswith("http") else f"{self.farm.url}/api/kmodci/v1/{path}"
        request = urllib.request.Request(url, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def told(self, path: str, body: object = None, **more: bool) -> tuple[int, Any]:
        status, _, text = self.ask(path, body, **more)
        return status, json.loads(text)

    def build(self, name: str, **more: Any) -> tuple[int, Any]:
        """Asks for a build."""
        anonymous = more.pop("anonymous", False)
        module, target, release = name.split("/")
        distro, series, _ = target.split("-")
        asked = {"module": module, "distro": distro, "series": series, "arch": "x86_64", "kernel_release": release}
        return self.told("builds", {**asked, **more}, anonymous=anonymous)

    def await_status(self, told: Mapping[str, Any], status: str) -> Any:
        """How the build of an answer stands, once it stands so."""

        def there() -> Any:
            found = self.told(told["status_url"])[1]
            return found if found["status"] == status else None

        # all that the batch has begun ends first
        return self.farm.until(there, seconds=240)


@pytest.fixture(scope="module")
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None]) -> Iterator[LiveFarm]:
    """A batch of sixteen builds that wait to be let go, of which two run; behind them a quick one and a broken one."""
    publish(repo, "old", "old-cloud")
    waiting = {name: source("hello", build=WAITS, artifacts=["hello.ko"]) for name in BATCH}
    cloud = {"include": ["*/*-cloud-amd64"]}
    modules = {**waiting, "quick": source("hello"), "broken": source("broken", kernels=cloud)}
    with live_farm(folder, repo, modules) as made:
        made.up()
        made.await_running(2)
        yield made


@pytest.fixture(scope="module")
def api(farm: LiveFarm) -> Api:
    made = Api(farm)
    farm.until(lambda: made.told("coverage")[0] == 200)
    return made


@pytest.fixture(scope="module")
def names(kernels: dict[str, RealKernel]) -> tuple[str, str]:
    """`target/release`, of a kernel and of its cloud flavour."""
    old, cloud = (f"{TARGET}/{kernels[name].release}" for name in ("old", "old-cloud"))
    return old, cloud


def test_what_is_asked_for_overtakes_the_batch(farm: LiveFarm, api: Api, names: tuple[str, str]) -> None:
    name = f"quick/{names[1]}"
    queued = farm.get("buildrequests?complete=false&claimed=false")["buildrequests"]
    assert not farm.builds(name)
    status, told = api.build(name, anonymous=True)
    assert (status, told["status"]) == (202, "pending")
    assert told["place"] > len(queued), "beyond the bound of Buildbot's queue"

    began = time.monotonic()
    first = api.build(name)
    again = api.build(name)
    assert (first[0], first[1]["place"]) == (202, 1)
    assert (again[0], again[1]["id"]) == (202, told["id"])
    running = farm.running()
    farm.open_gates()
    found = api.await_status(told, "built")
    print(f"\nfrom the question to the module, all slots taken: {time.monotonic() - began:.1f} s")
    done = {each for each in farm.store.outcomes() if each.startswith("batch")}
    assert done <= set(running), "nothing of the batch that waited was built before it"
    assert len(farm.builds(name)) == 1
    [file] = found["files"]
    assert (len(file["sha256"]), file["vermagic"].split()[0]) == (64, names[1].partition("/")[2])
    status, told = api.build(name, anonymous=True)
    assert (status, told["id"]) == (200, found["id"])
    assert [run.id for run in farm.runs.runs()] and "token node" in json.dumps(farm.get("buildsets")["buildsets"])


def test_what_is_queued_already_is_hurried_and_not_asked_for_twice(farm: LiveFarm, api: Api) -> None:
    running = farm.await_running(2)
    # Buildbot takes what has the highest priority, and of that the oldest: the last one would be the last
    requests = farm.get("buildrequests?complete=false&claimed=false")["buildrequests"]
    name, last = last_of_batch(farm)
    assert name not in running
    status, told = api.build(name)
    assert (status, told.get("place")) == (202, 1), told
    assert farm.get(f"buildrequests/{last}")["buildrequests"][0]["priority"] == 50
    before = len(requests)
    api.build(name)
    assert len(farm.get("buildrequests?complete=false&claimed=false")["buildrequests"]) == before
    farm.open_gates()
    api.await_status(told, "running")
    assert farm.until(lambda: name in farm.running())
    assert api.build(name)[1]["status"] == "running"
    assert len(farm.builds(name)) == 1

    # and what it says can be followed
    _, headers, text = api.ask(f"{told['status_url']}/log")
    farm.until(lambda: b"it waits" in api.ask(f"{told['status_url']}/log")[2])
    _, headers, text = api.ask(f"{told['status_url']}/log")
    assert (headers["X-Log-Complete"], int(headers["X-Log-Size"])) == ("false", len(text))
    farm.open_gates()
    api.await_status(told, "built")
    rest = api.ask(f"{told['status_url']}/log?offset={len(text)}")
    assert rest[1]["X-Log-Complete"] == "true" and rest[1]["X-Log-Build"] == headers["X-Log-Build"]
    whole = api.ask(f"{told['status_url']}/log")[2]
    assert text + rest[2] == whole and b"LD [M]" in rest[2]
    outcome = farm.outcome(name)
    assert outcome and farm.build_log(outcome).strip() in whole.decode()


def test_what_was_cancelled_is_built_when_who_may_asks(farm: LiveFarm, api: Api) -> None:
    name, request = last_of_batch(farm)
    assert farm.call(f"buildrequests/{request}", "cancel", {"reason": "enough"})[0] == 200
    farm.until(lambda: api.build(name, anonymous=True)[0] == 401)
    farm.until(lambda: "cancelled" in api.told(f"builds/{_identity(api, name)}")[1]["reason"])
    status, told = api.build(name)
    assert status == 202
    assert api.build(name, anonymous=True)[0] == 202, "it is asked for"
    farm.until(lambda: (farm.open_gates(), api.told(told["status_url"])[1]["status"] == "built")[1], seconds=240)


def test_what_fails_says_why_and_is_tried_again_on_demand(farm: LiveFarm, api: Api, names: tuple[str, str]) -> None:
    name = f"broken/{names[1]}"
    farm.until(lambda: (farm.open_gates(), farm.outcome(name))[1])
    farm.until(lambda: api.build(name)[0] == 409)
    status, told = api.build(name)
    error = told["error"]
    outcome = farm.outcome(name)
    assert outcome and (error["status"], error["reason"]) == ("failed", outcome.cause)
    log = api.ask(error["log_url"], anonymous=True)[2].decode()
    assert outcome.cause in log
    pieces = [api.ask(f"{error['log_url']}?offset={at}")[2] for at in (0, 100, len(log.encode()), 1 << 40)]
    assert pieces == [log.encode(), log.encode()[100:], b"", b""]

    assert api.build(name, rebuild=True, anonymous=True)[0] == 401
    status, again = api.build(name, rebuild=True)
    assert (status, again["id"]) == (202, error["id"])
    assert api.build(name, rebuild=True)[1]["id"] == error["id"]
    farm.until(lambda: (farm.open_gates(), farm.await_outcome(name, after=outcome.finished))[1])
    assert len(farm.builds(name)) == 2
    farm.until(lambda: api.build(name)[0] == 409)


def test_what_is_built_is_built_anew_if_that_is_wished(farm: LiveFarm, api: Api, names: tuple[str, str]) -> None:
    name = f"quick/{names[1]}"
    before = farm.await_built(name)
    assert api.build(name, rebuild=True)[0] == 202
    farm.until(lambda: (farm.open_gates(), farm.await_built(name, after=before.finished))[1])
    assert len(farm.builds(name)) == 2


def test_the_unknown_is_told_with_the_nearest(api: Api, names: tuple[str, str]) -> None:
    status, told = api.build(f"quick/{names[0].replace('-amd64', '-amd46').replace('debian-test-amd46', TARGET)}")
    assert status == 404
    assert names[0] in told["error"]["nearest"]


def test_a_master_that_is_killed_comes_back_with_the_same_ids_and_what_was_asked_for(
    farm: LiveFarm, api: Api, names: tuple[str, str]
) -> None:
    name = f"quick/{names[0]}"
    if farm.outcome(name):
        assert api.build(name, rebuild=True)[0] == 202
    else:
        assert api.build(name)[0] == 202
    identity = _identity(api, name)
    os.kill(farm.master_pid(), signal.SIGKILL)
    farm.master.wait(20)
    farm.close()
    farm.up()
    farm.until(lambda: api.told("coverage")[0] == 200)
    farm.until(lambda: (farm.open_gates(), farm.await_built(name))[1])
    found = farm.until(lambda: found if (found := api.build(name, anonymous=True))[0] == 200 else None)
    assert found[1]["id"] == identity


def test_health_and_metrics_of_a_farm_that_works(farm: LiveFarm, api: Api) -> None:
    farm.until(lambda: api.ask(f"{farm.url}/healthz", anonymous=True)[0] == 200)
    text = api.ask(f"{farm.url}/metrics", anonymous=True)[2].decode()
    assert "kmodci_healthy 1.0" in text and "kmodci_containers " in text
    assert api.ask("openapi.json", anonymous=True)[0] == 200
    assert api.token not in farm.log
    assert api.token not in (farm.state / "master" / "http.log").read_text()
    # Buildbot's own is where it was
    assert farm.get("builders")["builders"]


def last_of_batch(farm: LiveFarm) -> tuple[str, int]:
    """The name and the number of the request that Buildbot would take last, of those that wait in its queue."""
    found = farm.get("buildrequests?complete=false&claimed=false")["buildrequests"]
    names = {
        each["buildrequestid"]: farm.get(f"buildsets/{each['buildsetid']}")["buildsets"][0]["external_idstring"]
        for each in found
    }
    return max((number, name) for number, name in names.items() if name.startswith("batch"))[::-1]


def _identity(api: Api, name: str) -> str:
    """Of a question for a build, whatever the answer."""
    told = api.build(name, anonymous=True)[1]
    module, target, release = name.split("/")
    found: str = told.get("id") or f"{module},1.0,{target},{release}"
    return found
