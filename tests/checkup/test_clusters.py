"""What is looked at of a cluster: whether it answers, and what the farm may do there."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kmodci.checkup import clusters
from kmodci.cluster import Cluster
from kmodci.errors import EngineError, KmodciError
from kmodci.findings import Level
from kmodci.hosts import ClusterAt
from kmodci.paths import checkout
from support.kubefake import FakeKube, fake_kube

ROLE = {("create", "pods", ""), ("get", "pods", ""), ("list", "pods", ""), ("delete", "pods", "")}
ROLE |= {("create", "pods", "attach"), ("get", "pods", "attach")}


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    with fake_kube() as fake:
        yield fake


def look(kube: FakeKube, allowed: set[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    plain = kube.answer

    def answer(method: str, path: str, given: Any) -> tuple[int, Any]:
        if path != clusters._REVIEWS:
            return plain(method, path, given)
        asked = given["spec"]["resourceAttributes"]
        assert asked["namespace"] == "kmodci"
        found = asked["verb"], asked["resource"], asked["subresource"]
        return 201, {**given, "status": {"allowed": found in allowed}}

    monkeypatch.setattr(kube, "answer", answer)
    at = ClusterAt(server=kube.server, namespace="kmodci", images="farm.test")
    return list(clusters.of_cluster(Cluster(at, farm="f00")))


def test_the_role_of_the_documentation_is_enough(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(kube, ROLE, monkeypatch)
    assert [each.level for each in found] == [Level.GOOD, Level.GOOD]
    assert "Kubernetes 1.36.4" in found[0].what


def test_what_is_lacking_is_told(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(kube, ROLE - {("get", "pods", "attach")}, monkeypatch)
    assert [each.level for each in found] == [Level.GOOD, Level.WRONG]
    assert "may not get pods/attach" in found[1].what
    assert "docs/kubernetes.yaml" in found[1].advice


def test_what_is_too_much_is_told(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(kube, ROLE | {("get", "secrets", "")}, monkeypatch)
    assert [each.level for each in found] == [Level.GOOD, Level.GOOD, Level.NOTE]
    assert "may also get secrets" in found[2].what


def test_one_that_answers_something_else_is_told(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = kube.answer
    monkeypatch.setattr(
        kube, "answer", lambda method, path, given: (200, []) if method == "POST" else plain(method, path, given)
    )
    at = ClusterAt(server=kube.server, namespace="kmodci", images="farm.test")
    with pytest.raises(EngineError, match="does not tell"):
        list(clusters.of_cluster(Cluster(at, farm="f00")))


def test_a_certificate_that_cannot_be_had_is_told(kube: FakeKube) -> None:
    at = ClusterAt(server=kube.server.replace("http:", "https:"), namespace="kmodci", images="farm.test")
    with pytest.raises(KmodciError, match=r"127\.0\.0\.1"):
        list(clusters.of_certificates(Cluster(at, farm="f00")))


def test_the_role_that_is_asked_about_is_the_one_that_is_documented() -> None:
    documents = yaml.safe_load_all((checkout() / "docs" / "kubernetes.yaml").read_text())
    [role] = [each for each in documents if each["kind"] == "Role"]
    given = {(verb, name) for rule in role["rules"] for verb in rule["verbs"] for name in rule["resources"]}
    assert given == {*clusters._NEEDED}
