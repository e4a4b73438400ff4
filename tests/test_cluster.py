"""A namespace of a cluster: what the farm asks of it, and what its faults are told as."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kmodci import cluster as module
from kmodci.cluster import Cluster
from kmodci.errors import EngineError
from kmodci.hosts import ClusterAt
from kmodci.pods import read_pod
from kmodci.sandbox import Limits
from support.kubefake import PODS, FakeKube, fake_kube

LIMITS = Limits(memory=1 << 30, disk=512 << 20, processes=64, seconds=300, output=1 << 20)
RUNNING = {"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    with fake_kube() as fake:
        yield fake


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def cluster(kube: FakeKube, token: Path) -> Cluster:
    return Cluster(ClusterAt(server=kube.server, namespace="kmodci", token=token, images="farm.test:8443"), farm="f00")


def create(cluster: Cluster, name: str) -> None:
    cluster.create(name, image="kmodci/toolchain-gcc-12@sha256:00", limits=LIMITS, environment={"WORKERPASS": "x"})


def test_it_answers(cluster: Cluster, kube: FakeKube) -> None:
    assert cluster.look().version == "1.36.4"
    # also whether the farm may see its pods, or a cluster that it may do nothing in would be taken for well
    assert ("GET", PODS, {"labelSelector": ["kmodci.farm=f00"], "limit": ["1"]}) in kube.asked


def test_a_pod_is_made_of_the_farms_image(cluster: Cluster, kube: FakeKube) -> None:
    create(cluster, "w-1")
    [container] = kube.pods["w-1"]["spec"]["containers"]
    assert container["image"] == "farm.test:8443/kmodci/toolchain-gcc-12@sha256:00"
    assert container["command"][-1] == "/kmodci/worker.py"
    assert container["env"] == [{"name": "WORKERPASS", "value": "x"}]
    assert cluster.containers() == 1


def test_one_is_removed_once(cluster: Cluster, kube: FakeKube) -> None:
    create(cluster, "w-1")
    kube.lingering.add("w-1")
    assert cluster.remove("w-1")
    assert kube.asked[-1] == (
        "DELETE", f"{PODS}/w-1", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 1}
    )  # fmt: skip
    assert not cluster.remove("w-2")
    # its node takes its time
    assert cluster.sweep() == 0
    assert [method for method, *_ in kube.asked].count("DELETE") == 2


def test_how_one_stands(cluster: Cluster, kube: FakeKube) -> None:
    assert cluster.pod("w-1") is None
    create(cluster, "w-1")
    found = cluster.pod("w-1")
    assert found is not None
    assert not found.is_running
    kube.pods["w-1"]["status"] = RUNNING
    found = cluster.pod("w-1")
    assert found is not None
    assert found.is_running


def test_only_this_farms_pods_are_swept(cluster: Cluster, kube: FakeKube) -> None:
    for name in ("w-1", "w-2"):
        create(cluster, name)
    create(replace(cluster, farm="other"), "theirs")
    assert cluster.sweep(keep=lambda name: name == "w-1") == 1
    assert {*kube.pods} == {"w-1", "theirs"}


def test_what_was_killed_for_memory(cluster: Cluster, kube: FakeKube) -> None:
    assert not cluster.killed_for_memory("w-1")
    create(cluster, "w-1")
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    kube.pods["w-1"]["status"] = {"containerStatuses": [{"state": ended}]}
    assert cluster.killed_for_memory("w-1")


def test_a_token_that_is_renewed_is_used(cluster: Cluster, kube: FakeKube, token: Path) -> None:
    cluster.look()
    token.write_text("second\n")
    cluster.look()
    assert {*kube.tokens} == {"Bearer first", "Bearer second"}


def test_a_token_that_others_may_read_is_not(cluster: Cluster, kube: FakeKube, token: Path) -> None:
    token.chmod(0o644)
    with pytest.raises(EngineError, match="others may read it"):
        cluster.look()
    assert kube.tokens == []


@pytest.mark.parametrize(
    ("status", "message", "hint"),
    [
        (401, "Unauthorized", "none that the cluster knows"),
        (403, 'pods is forbidden: User "x" cannot list', "docs/kubernetes.yaml"),
        (500, "etcdserver: request timed out", ""),
    ],
)
def test_a_refusal_is_told_with_what_to_do(
    cluster: Cluster, kube: FakeKube, status: int, message: str, hint: str
) -> None:
    kube.refusal = (status, message)
    with pytest.raises(EngineError) as caught:
        cluster.look()
    assert f"{status} {message}" in caught.value.brief
    assert kube.server in caught.value.brief
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)


def test_a_secret_is_in_no_fault(cluster: Cluster, kube: FakeKube) -> None:
    kube.refusal = (401, "Unauthorized")
    with pytest.raises(EngineError) as caught:
        cluster.look()
    assert "first" not in str(caught.value)


def test_one_that_does_not_answer(cluster: Cluster) -> None:
    nowhere = replace(cluster, at=replace(cluster.at, server="http://127.0.0.1:9"))
    with pytest.raises(EngineError, match="Connection refused") as caught:
        nowhere.look()
    assert "address of the cluster's API" in caught.value.hint


def test_a_server_of_something_else(cluster: Cluster, kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "answer", lambda *_: (200, "hello"))
    with pytest.raises(EngineError, match="is none of Kubernetes"):
        cluster.look()


def test_one_whose_pods_reach_the_network_is_left_alone_for_a_while(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = {"exitCode": 4, "message": "this pod reaches 10.96.0.1:443"}
    status = {"containerStatuses": [{"state": {"terminated": ended}}]}
    found = read_pod(json.dumps({"metadata": {"name": "w-1"}, "status": status}).encode())
    cluster.note_open(found)
    with pytest.raises(EngineError, match=r"w-1: status 4: this pod reaches 10\.96\.0\.1:443") as caught:
        cluster.look()
    assert "NetworkPolicy" in caught.value.hint
    monkeypatch.setattr(module, "_OPEN", 0.0)
    cluster.note_open(found)
    assert cluster.look().version


def test_one_that_takes_no_pods_is_left_alone_for_a_while(cluster: Cluster, kube: FakeKube) -> None:
    kube.refusal = (403, 'pods "w-1" is forbidden: exceeded quota: builds')
    with pytest.raises(EngineError, match="exceeded quota"):
        create(cluster, "w-1")
    kube.refusal = None
    with pytest.raises(EngineError, match="exceeded quota") as caught:
        cluster.look()
    assert "docs/kubernetes.yaml" in caught.value.hint


def test_one_that_was_away_is_used_as_soon_as_it_answers(cluster: Cluster, kube: FakeKube) -> None:
    there, cluster.at = cluster.at, replace(cluster.at, server="http://127.0.0.1:9")
    with pytest.raises(EngineError, match="Connection refused"):
        create(cluster, "w-1")
    cluster.at = there
    assert cluster.look().version


def test_an_answer_that_does_not_end_is_not_waited_for(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmodci.kubeapi.time.monotonic", iter(range(0, 1000, 100)).__next__)
    with pytest.raises(EngineError, match="no whole answer in time"):
        cluster.api.get("/version", timeout=1)


def test_what_it_says_is_one_line(cluster: Cluster, kube: FakeKube) -> None:
    kube.refusal = (500, "a\n2026-01-01 another line\x1b[31m")
    with pytest.raises(EngineError) as caught:
        cluster.look()
    assert caught.value.brief.isprintable()


def test_a_name_is_one_part_of_a_path(cluster: Cluster, kube: FakeKube) -> None:
    assert cluster.pod("../../secrets/x?") is None
    assert kube.asked[-1][1] == f"{PODS}/..%2F..%2Fsecrets%2Fx%3F"


def test_there_is_no_such_namespace(cluster: Cluster) -> None:
    elsewhere = replace(cluster, at=replace(cluster.at, namespace="none"))
    with pytest.raises(EngineError, match="there is no namespace none") as caught:
        create(elsewhere, "w-1")
    assert "docs/kubernetes.yaml" in caught.value.hint
