"""What `kmodci.yml` (but for its hosts: `hostfile`) and `known-failures.yml` may say, key by key."""

import ipaddress
import os
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, model_validator

from .fields import (
    BuildSelector,
    ConfigPath,
    KernelSelector,
    Name,
    SecretPath,
    Url,
    check_url,
    fitting,
)
from .hostfile import HOST_NAME, LOCAL, EngineAt, HostAt
from .loginfile import Login
from .notifyfile import Receiver
from .quantities import Bytes, Seconds
from .yamlfile import Section

URL_VARIABLE = "KMODCI_URL"
_MIB = 1 << 20
_DAY = 86_400
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


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
    hosts: Mapping[Annotated[str, fitting(HOST_NAME, "a host's name (small letters, digits, -)")], HostAt] = {}
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
