"""What `kmodci.yml` and `known-failures.yml` may say, key by key."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, model_validator

from .fields import (
    NOT_EMPTY,
    BuildSelector,
    ConfigPath,
    KernelSelector,
    Name,
    SecretPath,
    Url,
    check_url,
    fitting,
)
from .hosts import ClusterAt, Host, Tls
from .loginfile import Login
from .model import BUILD_ARCH
from .notifyfile import Receiver
from .quantities import Bytes, Seconds
from .yamlfile import Section

URL_VARIABLE = "KMODCI_URL"
_MIB = 1 << 20
_DAY = 86_400
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


_HOST = re.compile(r"[a-z][a-z0-9-]{0,30}")
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


def _socket_url(text: str) -> str:
    return check_url(text, ("unix",))


class Web(Section):
    """Where the web interface listens."""

    host: str = "127.0.0.1"
    port: int = Field(default=8010, ge=1, le=65535)
    url: Annotated[str, AfterValidator(lambda url: url and check_url(url))] = Field(
        default_factory=lambda: os.environ.get(URL_VARIABLE, ""), validate_default=True
    )
    """what browsers and nodes call it, if that is not http://host:port; without it, what KMODCI_URL says"""
    proxies: tuple[IPvAnyNetwork, ...] = ()
    """networks of the reverse proxies before it, who are believed who asks (X-Forwarded-For, login.proxy)"""

    @property
    def is_local(self) -> bool:
        """Whether it listens on loopback only: `host` is an address, or `localhost`."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def address(self) -> str:
        """With a `/` at its end, as Buildbot wants it."""
        return f"{self.url or f'http://{self.host}:{self.port}'}/"


class BucketAt(Section):
    """An S3 bucket of somebody else's."""

    endpoint: Url
    bucket: Annotated[str, fitting(_BUCKET, "a bucket's name")] = "kmodci"
    region: str = "us-east-1"
    credentials_file: SecretPath
    """as AWS tools write it: a section [default] with aws_access_key_id and aws_secret_access_key"""
    public: Url | None = None
    """where nodes read it without credentials; without it, from the farm (`Settings.public_bucket`)"""


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is not None or "password" in parse_qs(parts.query, keep_blank_values=True):
        raise ValueError("a URL may not hold a password: passfile: names the file that has it")
    return url


class Database(Section):
    """The database of Buildbot and of the farm."""

    url: Annotated[
        str,
        fitting(re.compile(r"(postgresql|sqlite)(\+\w+)?://\S+"), "a database URL (postgresql://...)"),
        AfterValidator(_without_password),
    ]
    passfile: SecretPath | None = None
    """has the password, in the form of PostgreSQL's own ~/.pgpass: host:port:database:user:password, or * for any"""

    @model_validator(mode="after")
    def _fits(self) -> "Database":
        if self.passfile is not None and not self.is_server:
            raise ValueError("passfile: is for PostgreSQL")
        return self

    @property
    def is_server(self) -> bool:
        return not self.url.startswith("sqlite")

    @property
    def whole(self) -> str:
        """The URL, as SQLAlchemy takes it; it names the file with the password, which only libpq ever reads."""
        if self.passfile is None:
            return self.url
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencode({'passfile': str(self.passfile)})}"


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


class LimitsPerBuild(Section):
    """What one build may use. Sizes in bytes, time in seconds."""

    memory: Annotated[Bytes, Field(ge=64 * _MIB)] = 2048 * _MIB
    disk: Annotated[Bytes, Field(ge=64 * _MIB)] = 1024 * _MIB
    processes: int = Field(default=512, ge=16)
    time: Annotated[Seconds, Field(ge=1)] = 1800
    output: Annotated[Bytes, Field(ge=1024)] = 20 * _MIB


class OtherLimits(Section):
    """What one module's builds may use, where it differs from the rest."""

    memory: Annotated[Bytes, Field(ge=64 * _MIB)] | None = None
    disk: Annotated[Bytes, Field(ge=64 * _MIB)] | None = None
    processes: Annotated[int, Field(ge=16)] | None = None
    time: Annotated[Seconds, Field(ge=1)] | None = None
    output: Annotated[Bytes, Field(ge=1024)] | None = None

    def over(self, limits: LimitsPerBuild) -> LimitsPerBuild:
        """The limits, with these in place of those they replace."""
        return limits.model_copy(update=self.model_dump(exclude_none=True))


class Poll(Section):
    """How often repositories are looked at. Seconds."""

    interval: Annotated[Seconds, Field(ge=1)] = 300
    jitter: Annotated[Seconds, Field(ge=0)] = 30


class Retention(Section):
    """What is kept, and for how long. Times in seconds, sizes in bytes."""

    versions: int = Field(default=3, ge=1)
    """of each module, the newest; the one that its source is at is kept in any case"""
    logs: Annotated[Seconds, Field(ge=1)] = 90 * _DAY
    """of builds, in the bucket and in the web interface"""
    runs: Annotated[Seconds, Field(ge=1)] = 90 * _DAY
    """what the bucket has of runs; of the last one in any case"""
    # a build that is publishing now must not be older than it
    grace: Annotated[Seconds, Field(ge=_DAY)] = 7 * _DAY
    """what was written or left the index within it is not removed"""
    cache: Annotated[Bytes, Field(ge=64 * _MIB)] = 8 << 30
    """of what can be had again: header bundles, their pieces and sources, each"""


class Api(Section):
    """The HTTP API."""

    tokens: ConfigPath | None = None
    """the file that `kmodci token` writes; without it, `tokens.json` of the state folder"""
    rate: int = Field(default=100, ge=1)
    """requests a second: of one token, or of one address without one"""
    burst: int = Field(default=1000, ge=1)
    """requests that may come at once before the rate counts"""
    queue: int = Field(default=20, ge=1)
    """builds that one token may have waiting or running at once"""


class Log(Section):
    """How the master writes its log. Takes effect when it is started."""

    format: Literal["text", "json"] = "text"
    """json: an object a line, with the build id of what is about a build"""


class Scope(Section):
    """A part of the matrix: these modules, for these kernels."""

    modules: tuple[str, ...] = ("*",)
    kernels: tuple[KernelSelector, ...] = ("*",)
    newest: Annotated[int, Field(ge=1)] | None = None
    """only so many of each target's flavour"""


class FarmFile(Section):
    """kmodci.yml: the farm itself."""

    state: ConfigPath = Field(default=Path("../state"), validate_default=True)
    web: Web = Web()
    bucket: BucketAt | None = None
    database: Database | None = None
    engine: EngineAt = EngineAt()
    """short for a single host"""
    hosts: Mapping[Annotated[str, fitting(_HOST, "a host's name (small letters, digits, -)")], HostAt] = {}
    images: Annotated[str, AfterValidator(_socket_url)] | None = None
    """where `kmodci serve-images` makes toolchain images (unix://...); without it, this machine does"""
    limits: LimitsPerBuild = LimitsPerBuild()
    poll: Poll = Poll()
    retention: Retention = Retention()
    api: Api = Api()
    login: Login = Login()
    log: Log = Log()
    notify: Mapping[Name, Receiver] = {}
    """who is told what became of runs, by name"""
    scope: str = "all"
    """the scope that the farm works on"""
    scopes: Mapping[str, Scope] = {"all": Scope()}

    @property
    def build_hosts(self) -> Mapping[str, EngineAt]:
        """What builds run on, by name, in the order of the file."""
        return self.hosts or {LOCAL: self.engine}


class KnownFailure(Section):
    """Builds that are not tried, and why."""

    builds: BuildSelector
    reason: str = Field(min_length=1)
    until: date | None = None
    """the last day on which this holds"""

    def holds(self, today: date) -> bool:
        return self.until is None or today <= self.until


class KnownFailuresFile(Section):
    """known-failures.yml: what is not built, although it is in the matrix."""

    known_failures: Annotated[tuple[KnownFailure, ...], BeforeValidator(lambda data: () if data is None else data)] = ()
