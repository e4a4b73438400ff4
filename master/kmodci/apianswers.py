"""What the HTTP API answers. From these its OpenAPI document is made, and every answer but a log."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from .apiasked import State


class Told(BaseModel):
    """Times are seconds since the epoch."""

    # what can be told, is: a field that was misspelt where it is filled is a fault that tests find
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileTold(Told):
    """A module that can be fetched."""

    name: str
    url: str
    sha256: str
    size: int = Field(description="bytes")
    module: str = Field(description="what the kernel calls it once loaded")
    vermagic: str
    depends: tuple[str, ...]


class BuildTold(Told):
    """How one module for one kernel stands."""

    id: str = Field(description="names the question: the same whenever it is asked again")
    build_id: str
    module: str
    version: str = Field(description="of the module; empty while its source has not been read")
    distro: str
    series: str
    arch: str
    kernel_release: str
    kernel_version: str = Field(description="of the kernel's package")
    status: State
    reason: str = Field(description="why it is not built, or what it waits for; may be empty")
    place: int | None = Field(default=None, description="in the queue, from 1")
    eta_seconds: int | None = Field(default=None, description="until it is built: an estimate")
    status_url: str
    page_url: str = Field(description="for people")
    log_url: str
    build_url: str | None = Field(default=None, description="of the running or the last build, in Buildbot")
    manifest: str | None = Field(default=None, description="URL of all that is known of what is published")
    files: tuple[FileTold, ...] = ()
    others: tuple[str, ...] = Field(default=(), description="other versions that are published for this kernel")
    finished: float | None = Field(default=None, description="when it last ended")
    toolchain: str | None = Field(default=None, description="that it is built with")
    exact: bool | None = Field(default=None, description="whether that is the compiler of the kernel itself")


class ErrorTold(Told):
    """What is wrong, and what to do."""

    message: str
    hint: str = ""
    fields: Mapping[str, str] | None = Field(default=None, description="what is wrong with each field")
    nearest: tuple[str, ...] | None = Field(default=None, description="what there is that is called nearly so")
    status: State | None = Field(default=None, description="of the build")
    reason: str | None = Field(default=None, description="for that status")
    id: str | None = Field(default=None, description="of the build, as in an answer that is none of an error")
    log_url: str | None = None
    others: tuple[str, ...] | None = Field(default=None, description="versions that are published for this kernel")


class ErrorAnswer(Told):
    """Every answer from 400 on has one."""

    error: ErrorTold


class Counts(Told):
    """Builds by status. running: of the pending."""

    built: int
    failed: int
    unavailable: int
    skipped: int
    pending: int
    total: int
    percent: float = Field(description="built, of all but the skipped")


class RowTold(Told):
    """The builds of one module for one flavour of a target."""

    module: str
    target: str
    flavour: str
    gone: int = Field(description="of kernels that no repository lists any more")
    counts: Counts


class CauseTold(Told):
    """Builds that are not built for one reason."""

    status: State
    cause: str
    kernels: int
    builds: tuple[str, ...]


class StandingTold(Told):
    """One build of the matrix."""

    build_id: str
    status: State
    cause: str = Field(description="or what it waits for")
    flavour: str
    toolchain: str
    version: str
    finished: float | None
    published: bool
    gone: bool


class BuildsAnswer(Told):
    """In the order of the matrix."""

    whole: bool
    made: float
    builds: tuple[StandingTold, ...]


class CoverageAnswer(Told):
    """How the matrix stands."""

    whole: bool = Field(description="whether all sources have been read at least once")
    made: float
    counts: Counts
    running: int
    rows: tuple[RowTold, ...]
    causes: tuple[CauseTold, ...]
    builds: tuple[StandingTold, ...] | None = None


class KernelTold(Told):
    """A kernel that is known."""

    distro: str
    series: str
    arch: str
    release: str
    version: str
    flavour: str
    toolchain: str
    repository: str
    gone: float | None = Field(description="since when its repository lists it no more")
    appeared: float | None = Field(description="if it did while the farm watched")
    builds: Mapping[str, State] = Field(description="by module, of those of the matrix")


class KernelsAnswer(Told):
    """The newest release first."""

    whole: bool
    kernels: tuple[KernelTold, ...]


class DoubtTold(Told):
    """What a source says and is not believed yet."""

    what: str
    since: float
    looks: int
    looks_needed: int
    accepted_by: str


class SourceTold(Told):
    """A repository, or where a module is from."""

    name: str
    kind: str
    health: str
    idle: str
    kernels: int
    gone: int
    modules: tuple[str, ...]
    published: float | None
    last_ok: float | None
    age_seconds: int | None
    last_try: float | None
    error: str
    hint: str
    mirror_faults: tuple[str, ...]
    problems: tuple[str, ...]
    doubt: DoubtTold | None


class SourcesAnswer(Told):
    """What wants a person first."""

    sources: tuple[SourceTold, ...]


class HostTold(Told):
    """A build host."""

    host: str
    kind: str
    """Docker or Kubernetes"""
    address: str
    standing: str
    arches: tuple[str, ...]
    cross: tuple[str, ...]
    labels: tuple[str, ...]
    workers: int
    running: int
    images: int
    engine: str
    answered: float | None
    answered_ago: float | None
    fault: str
    since: float | None


class HostsAnswer(Told):
    """In the order of the configuration."""

    hosts: tuple[HostTold, ...]


class RunTold(Told):
    """A run, added up."""

    id: str
    state: str
    started: float
    finished: float | None
    planned: int
    built: int
    failed: int
    fault: int
    unavailable: int
    skipped: int
    cancelled: int
    superseded: int
    left: int
    make_seconds: float


class RunsAnswer(Told):
    """The newest first."""

    runs: tuple[RunTold, ...]


class RunBuildTold(Told):
    """A build of a run."""

    build_id: str
    why: str
    chunk: int
    ending: str | None
    cause: str
    seconds: float
    build_url: str


class RunAnswer(RunTold):
    """A run with its builds."""

    why: Mapping[str, int]
    builds_a_minute: float
    eta_seconds: int | None
    builds: tuple[RunBuildTold, ...]


class HealthAnswer(Told):
    """Whether the farm works."""

    healthy: bool
    problems: tuple[str, ...]
    plan_age_seconds: int | None
    board_age_seconds: int | None
