"""A build's pod: what it is asked to be, and what a cluster's words about it mean.

The statuses are of Kubernetes 1.20.2, as its API told them of pods of a farm.
"""

import json
from typing import Any

import pytest
from kmodci.errors import EngineError
from kmodci.hosts import ClusterAt
from kmodci.pods import Pod, pod, read_pod, read_pods
from kmodci.sandbox import Limits

AT = ClusterAt(server="https://10.0.0.1:6443", namespace="kmodci", images="farm.test")
LIMITS = Limits(memory=1 << 30, disk=512 << 20, processes=64, seconds=300, output=1 << 20)


def made(at: ClusterAt = AT, arch: str = "amd64") -> dict[str, Any]:
    document = pod(
        "w-1",
        farm="f00",
        image="farm.test/kmodci/toolchain-gcc-12@sha256:00",
        arch=arch,
        command=["/kmodci/python"],
        environment={"WORKERNAME": "w-1"},
        limits=LIMITS,
        at=at,
    )
    read: dict[str, Any] = json.loads(json.dumps(document))
    return read


def of_state(state: dict[str, object], **status: object) -> Pod:
    return read_pod(
        json.dumps({"metadata": {"name": "w"}, "status": {"containerStatuses": [{"state": state}], **status}}).encode()
    )


def test_it_is_what_the_restricted_standard_of_kubernetes_allows() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, point by point."""
    spec = made()["spec"]
    [container] = spec["containers"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & spec.keys()
    assert all({*volume} == {"name", "emptyDir"} for volume in spec["volumes"])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 65534
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_nothing_of_the_cluster_is_in_it() -> None:
    spec = made()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert "serviceAccountName" not in spec


def test_it_ends_with_its_connection_and_its_time() -> None:
    spec = made()["spec"]
    [container] = spec["containers"]
    assert container["stdin"] is container["stdinOnce"] is True
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] > LIMITS.seconds


def test_all_that_is_written_is_memory_and_bounded() -> None:
    spec = made()["spec"]
    [container] = spec["containers"]
    assert container["resources"]["limits"]["memory"] == str(1 << 30)
    assert {"/in", "/build", "/tmp", "/usr/src"} <= {each["mountPath"] for each in container["volumeMounts"]}
    for volume in spec["volumes"]:
        assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": str(512 << 20)}


def test_it_goes_where_it_may() -> None:
    at = ClusterAt(
        server="https://k.test",
        namespace="n",
        images="farm.test",
        node_selector=(("pool", "builds"),),
        tolerations=(("builds", "", "NoSchedule"), ("dedicated", "kmodci", "")),
        runtime_class="gvisor",
        pull_secret="registry",
    )
    spec = made(at, "arm64")["spec"]
    assert spec["nodeSelector"] == {"kubernetes.io/arch": "arm64", "pool": "builds"}
    assert spec["tolerations"] == [
        {"key": "builds", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "dedicated", "operator": "Equal", "value": "kmodci"},
    ]
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert not {"runtimeClassName", "imagePullSecrets"} & made()["spec"].keys()


def test_it_has_the_label_of_its_farm() -> None:
    assert made()["metadata"] == {
        "name": "w-1",
        "labels": {"kmodci.farm": "f00", "app.kubernetes.io/name": "kmodci-build"},
    }


@pytest.mark.parametrize(
    ("state", "running", "hopeless", "words"),
    [
        ({"running": {"startedAt": "2026-11-28T20:00:00Z"}}, True, False, "unknown"),
        ({"waiting": {"reason": "ContainerCreating"}}, False, False, "ContainerCreating"),
        (
            {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}},
            False,
            False,
            'ImagePullBackOff: Back-off pulling image "x"',
        ),
        (
            {"waiting": {"reason": "InvalidImageName", "message": "no"}},
            False,
            True,
            "InvalidImageName: no",
        ),
        ({"terminated": {"exitCode": 1, "reason": "Error"}}, False, True, "Error: status 1"),
    ],
)
def test_how_it_stands(state: dict[str, object], running: bool, hopeless: bool, words: str) -> None:
    found = of_state(state)
    assert (found.is_running, found.is_hopeless, found.words) == (running, hopeless, words)


def test_a_pod_that_no_node_takes_says_why() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
    }
    found = read_pod(json.dumps({"status": {"phase": "Pending", "conditions": [condition]}}).encode())
    assert found.words == "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."
    assert not found.is_hopeless  # a node may be added


def test_what_was_killed_for_memory() -> None:
    assert of_state({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}).was_killed_for_memory
    evicted = 'Usage of EmptyDir volume "build" exceeds the limit "512Mi". '
    assert of_state({}, phase="Failed", reason="Evicted", message=evicted).was_killed_for_memory
    assert not of_state(
        {}, phase="Failed", reason="Evicted", message="The node had condition: [DiskPressure]. "
    ).was_killed_for_memory
    assert not of_state({"terminated": {"exitCode": 137, "reason": "Error"}}).was_killed_for_memory


def test_a_worker_that_reaches_the_network_says_so_by_its_status() -> None:
    assert of_state({"terminated": {"exitCode": 4, "reason": "Error"}}).reaches_network
    assert not of_state({"terminated": {"exitCode": 1, "reason": "Error"}}).reaches_network
    assert not of_state({"running": {}}).reaches_network


def test_what_is_being_removed_does_not_run() -> None:
    told = {
        "metadata": {"deletionTimestamp": "2026-11-28T20:00:00Z"},
        "status": {"containerStatuses": [{"state": {"running": {}}}]},
    }
    assert not read_pod(json.dumps(told).encode()).is_running


def test_what_is_told_can_be_printed() -> None:
    found = of_state({"terminated": {"exitCode": 1, "message": "\x00\x1b[31mred\n" + "x" * 5000 + "\nlast"}})
    assert found.words.isprintable()
    assert found.words.endswith("x last")
    assert len(found.words) == 400


def test_what_something_puts_beside_the_worker_is_not_read() -> None:
    beside = {"name": "istio-proxy", "state": {"running": {}}}
    ours = {"name": "worker", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    found = read_pod(json.dumps({"status": {"containerStatuses": [beside, ours]}}).encode())
    assert not found.is_running
    assert found.lacks_image
    assert not found.is_hopeless
    alone = read_pod(json.dumps({"status": {"containerStatuses": [beside]}}).encode())
    assert not alone.is_running


def test_a_list_of_none_may_be_null() -> None:
    assert read_pods(b'{"items": null}') == ()


def test_a_list_of_pods() -> None:
    told = {"kind": "PodList", "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]}
    assert [each.name for each in read_pods(json.dumps(told).encode())] == ["a", "b"]


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"status": 3}', b'{"items": {}}'])
def test_what_is_none_is_told(content: bytes) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        read_pods(content) if b"items" in content else read_pod(content)
