"""The pod that one build runs in, as plain data: what it may see, use and do, and what its cluster says of it.

What a container gets from an engine (`sandbox`), in Kubernetes' words. Two things are not a pod's to say, and belong to
its namespace and nodes (docs/kubernetes.md): that it has no network, which its worker looks at before it begins, and
how many processes it may have.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from .errors import EngineError
from .hosts import ClusterAt
from .sandbox import HEADERS_MOUNT, INPUT_MOUNT, LABEL, USER, Limits

ModelT = TypeVar("ModelT", bound=BaseModel)
CONTAINER = "worker"
REACHES_NETWORK = 4
"""the exit status by which `workers/worker.py` says that its pod is not cut off"""
# characters of what a cluster says
_WORDS = 400
# seconds that a pod's worker has to end; it has nothing to save
GRACE = 1
# besides the build's own time: for its image (`bot/podworkers`), and twice what a step waits at most for a mirror or a
# bucket that is away (`bot/patience`)
_SPARE_SECONDS = 600 + 2 * 900 + 300
# all that is written is in memory, as with an engine
_WRITABLE = {
    "in": INPUT_MOUNT,
    "build": "/build",
    "tmp": "/tmp",  # noqa: S108 the pod's
    "headers": HEADERS_MOUNT,
    "modules": "/usr/lib/modules",
}
# reasons for which a container waits that do not go by themselves
_HOPELESS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "InvalidImageName", "RunContainerError"}
)


def pod(
    name: str,
    *,
    farm: str,
    image: str,
    arch: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    limits: Limits,
    at: ClusterAt,
) -> dict[str, object]:
    """What the API is asked to make. image: by digest, from `at.images`. See Kubernetes' API reference, Pod v1 core."""
    user, group = (int(number) for number in USER.split(":"))
    spec: dict[str, object] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": limits.seconds + _SPARE_SECONDS,
        "terminationGracePeriodSeconds": GRACE,
        # nothing of the cluster's is for somebody else's code
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "dnsPolicy": "Default",
        "nodeSelector": {"kubernetes.io/arch": arch, **dict(at.node_selector)},
        "tolerations": [_toleration(*each) for each in at.tolerations],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": group,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(image, command, environment, limits)],
        "volumes": [
            {"name": each, "emptyDir": {"medium": "Memory", "sizeLimit": str(limits.disk)}} for each in _WRITABLE
        ],
    }
    if at.runtime_class:
        spec["runtimeClassName"] = at.runtime_class
    if at.pull_secret:
        spec["imagePullSecrets"] = [{"name": at.pull_secret}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {LABEL: farm, "app.kubernetes.io/name": "kmodci-build"}},
        "spec": spec,
    }


def _container(image: str, command: Sequence[str], environment: Mapping[str, str], limits: Limits) -> dict[str, object]:
    memory = {"memory": str(limits.memory)}
    return {
        "name": CONTAINER,
        "image": image,
        # by digest, so what a node has is what is meant
        "imagePullPolicy": "IfNotPresent",
        "command": [*command],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "stdin": True,
        # the master's connection; when that ends, so does the worker
        "stdinOnce": True,
        # of a worker that has failed, the pod's state tells its last words
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            # of the node's disk a pod has its log alone, which is what its worker says to the master
            "limits": {**memory, "cpu": "2", "ephemeral-storage": "1Gi"},
            # half of a build's time is the farm's: headers, judging, publishing
            "requests": {**memory, "cpu": "500m", "ephemeral-storage": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
        },
        "volumeMounts": [{"name": each, "mountPath": place} for each, place in _WRITABLE.items()],
    }


def _toleration(key: str, value: str, effect: str) -> dict[str, str]:
    made = {"key": key, "operator": "Equal", "value": value} if value else {"key": key, "operator": "Exists"}
    return {**made, "effect": effect} if effect else made


def one_line(said: str) -> str:
    """What a cluster or a worker says, for logs and pages: as much of its end as is worth telling."""
    text = " ".join(said.split())[-_WORDS:]
    return "".join(each if each.isprintable() else "?" for each in text)


class _Of(BaseModel):
    """What of a state is read: why a container waits, or how it ended."""

    reason: str = ""
    message: str = ""
    exit_code: int | None = Field(default=None, alias="exitCode")


class _State(BaseModel):
    waiting: _Of | None = None
    running: _Of | None = None
    terminated: _Of | None = None


class _ContainerStatus(BaseModel):
    name: str = CONTAINER
    state: _State = _State()


class _Condition(BaseModel):
    type: str
    status: str = ""
    reason: str = ""
    message: str = ""


class _PodStatus(BaseModel):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[_Condition, ...] = ()
    containers: tuple[_ContainerStatus, ...] = Field(default=(), alias="containerStatuses")


class _Metadata(BaseModel):
    name: str = ""
    deleted: str = Field(default="", alias="deletionTimestamp")


class Pod(BaseModel):
    """A pod, as its cluster tells of it: what of that is used."""

    metadata: _Metadata = _Metadata()
    status: _PodStatus = _PodStatus()

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def _state(self) -> _State:
        # there may be others, which something in the cluster puts beside it
        return next((each.state for each in self.status.containers if each.name == CONTAINER), _State())

    @property
    def is_going(self) -> bool:
        """Whether it has been asked to end."""
        return bool(self.metadata.deleted)

    @property
    def is_running(self) -> bool:
        return self._state.running is not None and not self.is_going

    @property
    def has_ended(self) -> bool:
        return self._state.terminated is not None or self.status.phase in ("Succeeded", "Failed")

    @property
    def was_killed_for_memory(self) -> bool:
        """Also where its tmpfs, which is memory too, had grown beyond its size: that has the pod evicted."""
        ended = self._state.terminated
        evicted = self.status.reason == "Evicted" and "exceeds the limit" in self.status.message
        return (ended is not None and ended.reason == "OOMKilled") or evicted

    @property
    def reaches_network(self) -> bool:
        """Whether its worker has ended because it found the pod not to be cut off."""
        return self._state.terminated is not None and self._state.terminated.exit_code == REACHES_NETWORK

    @property
    def is_hopeless(self) -> bool:
        """Whether it will never begin, however long it is waited for."""
        return self.has_ended or (self._state.waiting is not None and self._state.waiting.reason in _HOPELESS)

    @property
    def lacks_image(self) -> bool:
        """Whether its node was told no when it asked for the image, and tries again now and then."""
        waiting = self._state.waiting
        return waiting is not None and waiting.reason in ("ErrImagePull", "ImagePullBackOff")

    @property
    def words(self) -> str:
        """How it stands, for people."""
        if (ended := self._state.terminated) is not None:
            said = (ended.reason, f"status {ended.exit_code}" if ended.exit_code is not None else "", ended.message)
        elif self.status.reason:
            said = (self.status.reason, self.status.message, "")
        elif (waiting := self._state.waiting) is not None:
            said = (waiting.reason, waiting.message, "")
        else:
            faults = [each for each in self.status.conditions if each.status == "False" and each.message]
            said = (faults[0].reason, faults[0].message, "") if faults else (self.status.phase, "", "")
        return one_line(": ".join(part for part in said if part)) or "unknown"


class _List(BaseModel):
    items: tuple[Pod, ...] | None = None
    """null where there are none, in Go's JSON"""


def read_pod(content: bytes) -> Pod:
    """Raises EngineError for what is none."""
    return _read(Pod, content)


def read_pods(content: bytes) -> tuple[Pod, ...]:
    """The same of a list."""
    return _read(_List, content).items or ()


def _read(model: type[ModelT], content: bytes) -> ModelT:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise EngineError(f"what the cluster says of its pods cannot be read: {error.errors()[0]['msg']}") from None
