"""What kmodci.yml may say of a cluster, and what that is to the core."""

import re
from pathlib import Path
from typing import Any

import pytest
from kmodci.hostfile import HostAt
from kmodci.hosts import ClusterAt
from pydantic import ValidationError


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("secret\n")
    path.chmod(0o600)
    return path


def cluster(file: Path, **more: object) -> dict[str, Any]:
    place = {"server": "https://10.0.0.20:6443", "token": str(file), "images": "farm.example.com"}
    return {"kubernetes": {**place, **more}, "workers": 32}


def test_a_cluster_is_a_host(token: Path) -> None:
    said = cluster(
        token,
        namespace="builds",
        ca="ca.crt",
        pull_secret="registry",
        node_selector={"pool": "builds", "example.com/fast": "yes"},
        tolerations=[{"key": "builds", "effect": "NoSchedule"}, {"key": "dedicated", "value": "kmodci"}],
        runtime_class="gvisor",
    )
    host = HostAt.model_validate({**said, "labels": ["pods"]}).host("cluster")
    assert host.cluster == ClusterAt(
        server="https://10.0.0.20:6443",
        namespace="builds",
        ca=Path("ca.crt"),
        token=token,
        images="farm.example.com",
        pull_secret="registry",
        node_selector=(("example.com/fast", "yes"), ("pool", "builds")),
        tolerations=(("builds", "", "NoSchedule"), ("dedicated", "kmodci", "")),
        runtime_class="gvisor",
    )
    assert (host.docker_host, host.same_machine, host.kind) == ("", False, "Kubernetes")
    assert host.address == "https://10.0.0.20:6443 (builds)"
    assert (host.arches, host.cross, host.labels) == ({"amd64"}, {"arm64"}, {"pods"})


def test_an_engine_is_none(token: Path) -> None:
    host = HostAt.model_validate({"docker_host": "unix:///var/run/docker.sock"}).host("here")
    assert (host.cluster, host.kind) == (None, "Docker")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"docker_host": "unix:///a"}, "say docker_host:, or kubernetes:, and not both"),
        ({"workers": "auto"}, "how many pods may there be at once?"),
        ({"same_machine": True}, "tls: and same_machine: are for Docker engines"),
    ],
)
def test_what_does_not_go_with_a_cluster(token: Path, more: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        HostAt.model_validate({**cluster(token), **more})


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"server": "http://10.0.0.20:6443"}, "expected https://"),
        ({"server": "https://me:secret@10.0.0.20"}, "may not hold a password"),
        ({"namespace": "../default"}, "not a namespace"),
        ({"token": None}, "who is the farm there? say token:, or cert: and key:"),
        ({"cert": "farm.crt"}, "cert: and key: go together"),
        ({"token": "/nowhere/token"}, "no such file"),
        ({"images": "https://farm.example.com"}, "not a registry"),
        ({"images": "farm.example.com/Upper"}, "not a registry"),
        ({"node_selector": {"pool": "a b"}}, "not a label's value"),
        ({"tolerations": [{"key": "a", "effect": "Always"}]}, "Input should be 'NoSchedule'"),
        ({"runtime_class": "gVisor!"}, "not a runtime class"),
    ],
)
def test_a_mistake(token: Path, more: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        HostAt.model_validate(cluster(token, **more))


def test_a_token_that_others_may_read_is_refused(token: Path) -> None:
    token.chmod(0o640)
    with pytest.raises(ValidationError, match="others may read it") as caught:
        HostAt.model_validate(cluster(token))
    assert "secret" not in str(caught.value).replace("renew the secret", "")
