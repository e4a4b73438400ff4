"""A farm with a real cluster among its hosts: what is built there, what a pod may do, and what is lost with it.

The cluster's network plugins enforce no NetworkPolicy (`support.cluster`): of one cluster pods are cut off by how its
network is laid out, and of another they are not, which the farm has to notice.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.images import recipe
from kmodci.model import Outcome, Status
from kmodci.paths import checkout
from kmodci.workerbundle import python_command
from support.attacks import TOLD, found_by
from support.chaos import RETRY, SUCCESS, results
from support.cluster import Cluster
from support.farm import ENGINE, TARGET, LiveFarm, gated, live_farm, source, write_root_of
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(1800)]

MANIFESTS = checkout() / "docs" / "kubernetes.yaml"
NAMESPACE, REGISTRY = "kmodci", "farm.test"
MAKE = 'make -C "$KERNEL_DIR" M="$PWD" modules'
PYTHON = shlex.join(python_command("/kmodci"))


@pytest.fixture(scope="module")
def open_cluster(kubernetes_programs: Path) -> Iterator[Cluster]:
    """Whose pods reach the cluster's API, as they do where nothing forbids it."""
    with Cluster(isolated=False) as made, made.answering_pods():
        yield made


@pytest.fixture(scope="module")
def old(kernels: dict[str, RealKernel]) -> str:
    return f"{TARGET}/{kernels['old'].release}"


def prepared(cluster: Cluster, folder: Path, **more: object) -> dict[str, object]:
    """What docs/kubernetes.md has an administrator do, and the cluster as a host of kmodci.yml."""
    cluster.apply(MANIFESTS.read_text())
    folder.mkdir()
    token = folder / "token"
    token.write_text(cluster.token(NAMESPACE, "farm") + "\n")
    token.chmod(0o600)
    place = {"server": cluster.server, "ca": str(cluster.ca), "token": str(token), "images": REGISTRY}
    return {"kubernetes": {"namespace": NAMESPACE, **place}, "workers": 2, **more}


@pytest.fixture(scope="module")
def farm(
    folder: Path,
    repo: AptRepo,
    publish: Callable[..., None],
    kernels: dict[str, RealKernel],
    cluster: Cluster,
    open_cluster: Cluster,
) -> Iterator[LiveFarm]:
    """Up, with the image in the bucket, and a module for each of its hosts."""
    publish(repo, "old")
    hosts = {
        "here": {"docker_host": ENGINE, "workers": 1, "labels": ["docker"]},
        "pods": prepared(cluster, folder / "pods", labels=["pods"]),
        "open": prepared(open_cluster, folder / "open", labels=["open"]),
    }
    modules: dict[str, object] = {
        "there": source("hello", labels=["pods"]),
        "here": source("hello", labels=["docker"]),
        "hungry": source("hungry", labels=["pods"]),
        "leaky": source("hello", labels=["open"]),
        "waiting": gated(labels=["pods"]),
    }
    with live_farm(folder / "farm", repo, modules, hosts=hosts) as made:
        # after it has what it needs: in a pod its headers are its own, to spoil as it likes
        attack = f"{MAKE} && {PYTHON} attack.py {shlex.quote(str(made.state))} {made.port}"
        attacker = source("attacker", build=attack, artifacts=["attacker.ko"], labels=["pods"])
        made.write_modules({**modules, "attacker": attacker})
        image = recipe(kernels["old"].toolchain, distro="debian", series="bookworm")
        archive = folder / "image.tar.zst"
        write_root_of(image.tag, archive)
        made.s3_server.start()
        made.bucket.ensure()
        made.bucket.put_file(image.key, archive)
        for each in (cluster, open_cluster):
            each.registry(REGISTRY, made.url)
        made.up()
        yield made


def worker_of(build: dict[str, Any]) -> str:
    return str(build["properties"]["workername"][0])


def pods(cluster: Cluster) -> list[str]:
    """Those that have not been asked to end."""
    listed = cluster.ask("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    return [str(each["metadata"]["name"]) for each in listed if "deletionTimestamp" not in each["metadata"]]


def open_gate(cluster: Cluster) -> None:
    """Lets the `gated` build go on that runs in a pod."""
    for name in pods(cluster):
        cluster.kubectl("exec", f"--namespace={NAMESPACE}", name, "--", "touch", "/in/go")


@pytest.fixture(scope="module")
def outcome(farm: LiveFarm, old: str) -> Outcome:
    return farm.await_built(f"there/{old}", seconds=300)


@pytest.fixture(scope="module")
def found(farm: LiveFarm, old: str) -> dict[str, Any]:
    return found_by(farm, farm.await_built(f"attacker/{old}", seconds=300))


class TestABuild:
    """In a pod."""

    def test_it_ran_there(self, farm: LiveFarm, outcome: Outcome) -> None:
        [build] = farm.builds(str(outcome.build_id))
        assert worker_of(build).startswith("pods-")

    def test_it_made_what_a_container_makes(self, farm: LiveFarm, outcome: Outcome, old: str) -> None:
        [ours] = farm.manifest(outcome).files
        [theirs] = farm.manifest(farm.await_built(f"here/{old}", seconds=300)).files
        assert ours.sha256 == theirs.sha256
        assert ours.vermagic.startswith(old.rpartition("/")[2])

    def test_its_image_came_from_the_farm(self, outcome: Outcome, cluster: Cluster) -> None:
        listed = cluster.ctr("images", "ls", "-q").splitlines()
        assert [each for each in listed if each.startswith(f"{REGISTRY}/kmodci/toolchain-gcc-12@sha256:")]

    def test_one_that_takes_too_much_memory_fails_once(self, farm: LiveFarm, old: str) -> None:
        outcome = farm.await_outcome(f"hungry/{old}", seconds=240)
        assert (outcome.status, outcome.cause) == (Status.FAILED, "killed for memory: the limit is 768 MiB")
        assert len(farm.builds(f"hungry/{old}")) == 1


# of a pod, these are copies of its own, and end with it
OWN = ("the headers", "the headers' Makefile", "/in", "/in/source.tar.zst")


class TestAHostileModule:
    """The attacks of `test_attacks`, in a pod."""

    def test_nothing_it_tried_succeeded(self, found: dict[str, Any]) -> None:
        assert len(found) > 150
        came = {what: came for what, came in found.items() if what not in TOLD and came}
        assert {what: each for what, each in came.items() if not what.endswith(OWN)} == {}

    def test_it_knows_nothing_of_the_cluster(self, found: dict[str, Any]) -> None:
        assert not {name for name in found["environment"] if "KUBERNETES" in name or "PASS" in name}
        assert "serviceaccount" not in found["mounts"]
        assert not [text for text in found["environments"] if "WORKERPASS" in text]


def test_a_cluster_that_lets_pods_out_gets_no_builds(farm: LiveFarm, old: str) -> None:
    farm.until(lambda: "reaches" in farm.hosts()["open"]["fault"], seconds=240)
    assert farm.hosts()["open"]["standing"] == "away"
    # its worker has ended before it had anything of the module
    assert all(build["results"] == RETRY for build in farm.builds(f"leaky/{old}") if farm.is_complete(build))
    assert re.search(r"host open is away, .* this pod reaches 10\.216\.\d+\.1:443, and a build must", farm.log)


def test_a_cluster_is_lost_in_the_middle_and_comes_back(farm: LiveFarm, old: str, cluster: Cluster) -> None:
    name = f"waiting/{old}"
    farm.until(lambda: name in farm.running(), seconds=240)
    with cluster.without("kube-apiserver"):
        farm.until(lambda: farm.hosts()["pods"]["standing"] == "away")
        assert farm.hosts()["here"]["standing"] == "answers"
        farm.until(lambda: results(farm, name)[:1] == [RETRY], seconds=180)
    farm.until(lambda: farm.hosts()["pods"]["standing"] == "answers")
    farm.until(lambda: name in farm.running(), seconds=240)
    open_gate(cluster)
    farm.until(lambda: results(farm, name)[-1:] == [SUCCESS], seconds=120)
    assert "lost_with_host" in farm.builds(name)[0]["properties"]


def test_what_waits_for_a_node_can_be_cancelled(farm: LiveFarm, old: str, cluster: Cluster) -> None:
    cluster.kubectl("cordon", "node")
    try:
        status, answer = farm.force(module="waiting", kernel=old, builderid=0, rebuild=True)
        assert status == 200, answer
        farm.until(lambda: len(pods(cluster)) == 1)
        name = f"waiting/{old}"
        [wanted] = [
            each["buildrequestid"]
            for each in farm.get("buildrequests?complete=false&property=*")["buildrequests"]
            if each["properties"]["virtual_builder_name"][0] == name
        ]
        assert farm.call(f"buildrequests/{wanted}", "cancel", {"reason": "enough"})[0] == 200
        farm.until(lambda: farm.get(f"buildrequests/{wanted}")["buildrequests"][0]["complete"])
        farm.until(lambda: not pods(cluster))
    finally:
        cluster.kubectl("uncordon", "node")


def test_what_a_master_that_was_killed_has_left_there_goes(farm: LiveFarm, old: str, cluster: Cluster) -> None:
    name = f"waiting/{old}"
    status, answer = farm.force(module="waiting", kernel=old, builderid=0, rebuild=True)
    assert status == 200, answer
    farm.until(lambda: name in farm.running(), seconds=120)
    # what was lost with the cluster's API, the sweeper has had removed
    [left] = farm.until(lambda: found if len(found := pods(cluster)) == 1 else None)
    farm.kill()
    farm.up()
    farm.until(lambda: name in farm.running(), seconds=180)
    farm.until(lambda: left not in pods(cluster))
    open_gate(cluster)
    farm.until(lambda: results(farm, name)[-1:] == [SUCCESS], seconds=120)
