"""What the HTTP API is asked: bodies and queries, checked by type. What is not named here is refused."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .apifields import Arch, Module, Part, Release, Series, Version
from .model import Status
from .ondemand import OUTSIDE
from .runs import Ending
from .runview import LEFT

State = Literal["built", "running", "pending", "failed", "unavailable", "skipped", "outside"]
"""what a build is, in one word"""
assert OUTSIDE == "outside"
LOG_CHUNK = 256 << 10
"""bytes of a log that one answer has at most"""
_LARGEST = (1 << 53) - 1


class Asked(BaseModel):
    """Text is text, and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BuildAsked(Asked):
    """A module for a kernel."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    module: Module
    version: Version | None = Field(default=None, description="of the module; the newest if it is not said")
    distro: Part = Field(examples=["debian"], description="as ID of /etc/os-release")
    series: Series | None = Field(
        default=None, description="needed only where the kernels of a distribution's series are not the same"
    )
    arch: Arch
    kernel_release: Release
    rebuild: bool = Field(default=False, description="build it although it is built, failed or unavailable")


class NoQuery(Asked):
    """Nothing."""


class LogQuery(Asked):
    """Of a log."""

    offset: int = Field(default=0, ge=0, le=_LARGEST, description="bytes that are known already")


class CoverageQuery(Asked):
    """Which builds are counted; each that is not said is any."""

    module: Module | None = None
    version: Version | None = None
    distro: Part | None = None
    series: Series | None = None
    arch: Arch | None = None
    status: Status | Literal["running"] | None = None


class CountsQuery(CoverageQuery):
    """The same, and whether they are told one by one as well."""

    builds: bool = Field(default=False, description="every build with its status, too")


class KernelsQuery(Asked):
    """Which kernels are listed; each that is not said is any."""

    distro: Part | None = None
    series: Series | None = None
    arch: Arch | None = None
    release: Release | None = None


class SourcesQuery(Asked):
    """Which sources are listed."""

    name: str | None = Field(default=None, max_length=200)


class RunsQuery(Asked):
    """How many runs are listed."""

    limit: int = Field(default=100, ge=1, le=1000, description="the newest")


class RunQuery(Asked):
    """Which builds of a run are listed."""

    ending: Ending | Literal["left"] | None = None


assert LEFT == "left"


def mistakes(error: ValidationError) -> dict[str, str]:
    """What is wrong with each field, in words."""
    found: dict[str, str] = {}
    for each in error.errors(include_url=False, include_context=True, include_input=False):
        name = ".".join(str(part) for part in each["loc"])[:80] or "body"
        cause = each.get("ctx", {}).get("error")
        if each["type"] == "extra_forbidden":
            what = "there is no such field"
        elif each["type"] == "missing":
            what = "is needed"
        elif isinstance(cause, Exception):
            what = getattr(cause, "brief", "") or str(cause)
        else:
            what = each["msg"]
        found.setdefault(name, what[:300])
    return found
