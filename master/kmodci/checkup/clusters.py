"""The clusters among the build hosts: does each answer, and may the farm do there what it has to, and no more?

That pods reach nothing is no question for here: each looks for itself before it begins (`workers/worker.py`).
"""

import time
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError

from kmodci.cluster import Cluster
from kmodci.engines import engines_of
from kmodci.errors import EngineError
from kmodci.findings import Finding, good, note, of_certificate, wrong
from kmodci.hosts import Host

from .wire import certificate_end, server_certificate_end

_PATIENCE = 10
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_ROLE = "apply the Role of docs/kubernetes.yaml, and bind it to whom the token or certificate is of"
# verb and resource, as RBAC has them
_NEEDED = (
    *((verb, "pods") for verb in ("create", "get", "list", "delete")),
    *((verb, "pods/attach") for verb in ("create", "get")),
)
_TOO_MUCH = (("get", "secrets"), ("create", "pods/exec"), ("create", "rolebindings"), ("delete", "networkpolicies"))
_GROUPS = {"rolebindings": "rbac.authorization.k8s.io", "networkpolicies": "networking.k8s.io"}


class _Status(BaseModel):
    allowed: bool = False


class _Review(BaseModel):
    """https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/"""

    status: _Status = _Status()


def cluster_of(host: Host, farm: str) -> Cluster:
    return engines_of({host.name: host}, farm).clusters[host.name]


def of_cluster(cluster: Cluster) -> Iterator[Finding]:
    """It answers, with which version; what the farm may do there. Raises EngineError."""
    answer = cluster.look(timeout=_PATIENCE)
    yield good(f"answers: Kubernetes {answer.version}, namespace {cluster.at.namespace}")
    lacking = [f"{verb} {resource}" for verb, resource in _NEEDED if not _may(cluster, verb, resource)]
    if lacking:
        yield wrong(f"the farm may not {', '.join(lacking)} there", _ROLE)
    else:
        yield good("the farm may do there what it has to")
    more = [f"{verb} {resource}" for verb, resource in _TOO_MUCH if _may(cluster, verb, resource)]
    if more:
        yield note(f"the farm may also {', '.join(more)} there, which it never does", _ROLE)


def of_certificates(cluster: Cluster) -> Iterator[Finding]:
    """Those of the API, of its authority, of the farm. Raises KmodciError."""
    now, (host, port, _) = time.time(), cluster.api.address
    for whose, path in {"the farm's certificate": cluster.at.cert, "the API's authority": cluster.at.ca}.items():
        if path is not None:
            yield of_certificate(
                f"{whose} ({path})", certificate_end(path), now, renew=f"make a new one, and put it in {path}"
            )
    end = server_certificate_end(host, port, cluster.at.ca)
    yield of_certificate("the API's certificate", end, now, renew="renew it in the cluster (kubeadm certs renew)")


def _may(cluster: Cluster, verb: str, resource: str) -> bool:
    name, _, sub = resource.partition("/")
    attributes = {"namespace": cluster.at.namespace, "verb": verb, "group": _GROUPS.get(name, ""), "resource": name}
    asked = {"resourceAttributes": {**attributes, "subresource": sub}}
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    content = cluster.api.post(_REVIEWS, {**kind, "spec": asked}) or b""
    try:
        return _Review.model_validate_json(content).status.allowed
    except ValidationError as error:
        raise EngineError(f"{cluster.api.name} does not tell what the farm may do") from error
