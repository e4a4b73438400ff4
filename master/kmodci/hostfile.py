"""What `kmodci.yml` may say of build hosts: Docker engines, and namespaces of Kubernetes clusters."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from .fields import NOT_EMPTY, ConfigPath, Name, SecretPath, check_url, fitting
from .hosts import ClusterAt, Host, Tls
from .model import BUILD_ARCH
from .yamlfile import Section

HOST_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"(?:[a-z0-9][a-z0-9.-]{0,252}/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_REGISTRY = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:[._-][a-z0-9]+)*)*")
LOCAL = "local"
"""the one host of a farm that names none"""


def _docker_url(text: str) -> str:
    text = check_url(text, ("unix", "tcp", "ssh"))
    if urlsplit(text).password is not None:
        raise ValueError("a URL may not hold a password: ssh has keys for that")
    return text


def _https_url(text: str) -> str:
    return check_url(text, ("https",))


class TlsAt(Section):
    """Where the certificates are with which a farm and an engine know each other. PEM files."""

    ca: ConfigPath
    """of the authority that the engine's certificate is from"""
    cert: ConfigPath
    key: SecretPath


class Toleration(Section):
    """A taint of nodes that pods may run in spite of."""

    key: Annotated[str, fitting(_LABEL, "a taint's key")]
    value: Annotated[str, fitting(_LABEL_VALUE, "a taint's value")] = ""
    """empty: any"""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class KubernetesAt(Section):
    """A namespace of a Kubernetes cluster that builds run in, as pods (docs/kubernetes.md)."""

    server: Annotated[str, AfterValidator(_https_url)]
    """of the cluster's API"""
    namespace: Annotated[str, fitting(_DNS_LABEL, "a namespace")] = "kmodci"
    ca: ConfigPath | None = None
    """of the authority that the API's certificate is from; without it, one that this machine trusts"""
    token: SecretPath | None = None
    """the file with the token of a service account"""
    cert: ConfigPath | None = None
    key: SecretPath | None = None
    images: Annotated[str, fitting(_REGISTRY, "a registry (host, host:port, either with a path)")]
    """where the cluster's nodes fetch images: the farm's web interface as they reach it, or a copy of its images"""
    pull_secret: Annotated[str, fitting(_DNS_LABEL, "a secret's name")] = ""
    """of the namespace, where `images` wants to know who asks"""
    node_selector: Mapping[
        Annotated[str, fitting(_LABEL, "a label")], Annotated[str, fitting(_LABEL_VALUE, "a label's value")]
    ] = {}
    tolerations: tuple[Toleration, ...] = ()
    runtime_class: Annotated[str, fitting(_DNS_LABEL, "a runtime class")] = ""
    """gvisor or kata, as the cluster has it"""

    @model_validator(mode="after")
    def _fits(self) -> "KubernetesAt":
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert: and key: go together")
        if (self.token is None) == (self.cert is None):
            raise ValueError("who is the farm there? say token:, or cert: and key:, and not both")
        return self

    @property
    def place(self) -> ClusterAt:
        """The same for the core."""
        return ClusterAt(
            server=self.server,
            namespace=self.namespace,
            ca=self.ca,
            token=self.token,
            cert=self.cert,
            key=self.key,
            images=self.images,
            pull_secret=self.pull_secret,
            node_selector=tuple(sorted(self.node_selector.items())),
            tolerations=tuple((each.key, each.value, each.effect or "") for each in self.tolerations),
            runtime_class=self.runtime_class,
        )


class EngineAt(Section):
    """A Docker engine that builds run on."""

    docker_host: Annotated[str, AfterValidator(_docker_url)] = "unix:///var/run/docker.sock"
    tls: TlsAt | Literal["none"] | None = None
    """needed for tcp://; none: on purpose, where nobody else can reach it"""
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = "auto"
    """builds at once; auto: twice as many as the engine has cores, of which as many compile as it has cores"""
    arches: Annotated[tuple[Literal["amd64", "arm64"], ...], NOT_EMPTY] = (BUILD_ARCH,)
    """its own; one, as a machine has"""
    cross: tuple[Literal["amd64", "arm64"], ...] = ("arm64",)
    """that it builds for as well, with a cross compiler"""
    labels: tuple[Name, ...] = ()
    """what a module can ask for"""
    same_machine: bool | None = None
    """whether it sees the master's files under the same paths; by default, a unix socket's does"""

    @model_validator(mode="after")
    def _fits(self) -> "EngineAt":
        is_tcp = self.docker_host.startswith("tcp:")
        if is_tcp and self.tls is None:
            raise ValueError(
                "tcp:// without tls:, and who reaches such an engine is root on its machine: write tls: with ca:, cert:"
                " and key:, or `tls: none` where nobody else reaches it"
            )
        if self.tls is not None and not is_tcp:
            raise ValueError("tls: is for tcp://")
        if len(self.arches) != 1:
            raise ValueError("arches: is what the machine itself runs on, and that is one; for others there is cross:")
        if self.arches != (BUILD_ARCH,) and not {*self.arches}.issuperset(self.cross):
            raise ValueError(f"cross: is for {BUILD_ARCH} hosts: images of others have their own compiler only")
        return self

    def host(self, name: str) -> Host:
        """The same for the core."""
        tls = self.tls if isinstance(self.tls, TlsAt) else None
        is_unix = self.docker_host.startswith("unix:")
        return Host(
            name=name,
            docker_host=self.docker_host,
            same_machine=is_unix if self.same_machine is None else self.same_machine,
            arches=frozenset(self.arches),
            cross=frozenset(self.cross) - frozenset(self.arches),
            labels=frozenset(self.labels),
            tls=Tls(ca=tls.ca, cert=tls.cert, key=tls.key) if tls else None,
        )


class HostAt(EngineAt):
    """One of several: an engine, or a cluster."""

    kubernetes: KubernetesAt | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "HostAt":
        if (self.kubernetes is None) != ("docker_host" in self.model_fields_set):
            raise ValueError("a host is a Docker engine or a cluster: say docker_host:, or kubernetes:, and not both")
        if self.kubernetes is not None:
            if self.workers == "auto":
                raise ValueError("workers: how many pods may there be at once? The cluster does not say")
            if self.tls is not None or self.same_machine is not None:
                raise ValueError("tls: and same_machine: are for Docker engines")
        return self

    def host(self, name: str) -> Host:
        """The same for the core."""
        made = super().host(name)
        if self.kubernetes is None:
            return made
        return replace(made, docker_host="", same_machine=False, cluster=self.kubernetes.place)
