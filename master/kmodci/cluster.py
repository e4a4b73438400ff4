"""A namespace of a Kubernetes cluster: does it answer, make a pod, wait for it, remove it, sweep what is ours."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ValidationError

from .errors import EngineError
from .hosts import Answer, ClusterAt
from .kubeapi import KubeApi, Refusal
from .model import BUILD_ARCH
from .pods import GRACE, Pod, pod, read_pod, read_pods
from .sandbox import BUNDLE_MOUNT, LABEL, Limits
from .workerbundle import worker_command

_QUICK = 30
# seconds for which a cluster gets no build after a pod of it was found to reach the network, or it did not do as asked
_OPEN, _REFUSED = 300.0, 60.0


class _Version(BaseModel):
    """https://kubernetes.io/docs/reference/ of /version."""

    gitVersion: str = ""  # noqa: N815 Kubernetes' name


@dataclass(slots=True)
class Cluster:
    """Every method raises EngineError when the cluster does not do as asked."""

    at: ClusterAt
    farm: str
    """names the farm whose pods may be swept"""
    arch: str = BUILD_ARCH
    """of the nodes that its pods go to"""
    _fault: tuple[float, str, str] = field(default=(0.0, "", ""), compare=False)
    """until when (monotonic seconds) nothing is to be built there, why, and what to do"""

    @property
    def api(self) -> KubeApi:
        return KubeApi(self.at)

    def look(self, *, timeout: float = _QUICK) -> Answer:
        """Asks it how it is, and whether the farm may see its pods there."""
        content = self.api.get("/version", timeout=timeout) or b"{}"
        try:
            version = _Version.model_validate_json(content).gitVersion
        except ValidationError as error:
            raise EngineError(f"{self.api.name} is none of Kubernetes, by what /version says") from error
        self._pods(limit=1, timeout=timeout)
        until, why, hint = self._fault
        if time.monotonic() < until:
            raise EngineError(f"{self.api.name}: {why}", hint=hint)
        return Answer(version=version.removeprefix("v"))

    def note_open(self, found: Pod) -> None:
        """A pod was found to reach the network."""
        why = f"nothing is built there, because its pods reach the network: {found.name}: {found.words}"
        hint = "apply the NetworkPolicy of docs/kubernetes.yaml, on a cluster whose network enforces it"
        self._fault = time.monotonic() + _OPEN, why, hint

    def note_refusal(self, why: str, hint: str = "") -> None:
        """It answers, and yet no pod is to be had. It is left alone for a while, or build after build would be lost."""
        self._fault = time.monotonic() + _REFUSED, why, hint

    def forget_bundles(self) -> None:
        """There are none: the worker is part of the image."""

    def containers(self) -> int:
        """How many pods this farm has, running or not."""
        return len(self._pods())

    def sweep(self, *, keep: Callable[[str], bool] = lambda _: False, bundle: Path | None = None) -> int:
        """Has this farm's pods end. Returns how many did not before. keep: asked for the name of each."""
        return sum(self.remove(each.name) for each in self._pods() if not each.is_going and not keep(each.name))

    def killed_for_memory(self, name: str) -> bool:
        """Whether the pod of that name was killed because it used too much memory."""
        found = self.pod(name)
        return found is not None and found.was_killed_for_memory

    def pod(self, name: str) -> Pod | None:
        """The pod of that name, as it stands; None if there is none."""
        content = self.api.get(self.api.pods(name))
        return None if content is None else read_pod(content)

    def create(self, name: str, *, image: str, limits: Limits, environment: Mapping[str, str]) -> None:
        """Makes a pod of a name that is used once. image: a reference, without the registry."""
        made = pod(
            name,
            farm=self.farm,
            image=f"{self.at.images}/{image}",
            arch=self.arch,
            command=worker_command(BUNDLE_MOUNT),
            environment=environment,
            limits=limits,
            at=self.at,
        )
        try:
            if self.api.post(self.api.pods(), made) is None:
                raise Refusal(f"there is no namespace {self.at.namespace}", hint="docs/kubernetes.yaml makes it")
        except Refusal as error:
            self.note_refusal(error.brief.removeprefix(f"{self.api.name}: "), error.hint)
            raise

    def remove(self, name: str) -> bool:
        """Has a pod end, whose node then says that it is gone: some seconds later. False if it was gone."""
        return self.api.delete(self.api.pods(name), grace=GRACE)

    def _pods(self, *, limit: int | None = None, timeout: float = _QUICK) -> tuple[Pod, ...]:
        query = {"labelSelector": f"{LABEL}={self.farm}"} | ({"limit": str(limit)} if limit else {})
        content = self.api.get(self.api.pods(), query, timeout=timeout)
        return () if content is None else read_pods(content)
