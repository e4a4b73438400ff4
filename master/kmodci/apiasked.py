"""What the HTTP API is asked: bodies and queries, checked by type. What is not named here is refused."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from .apifields import Arch, Distro, Module, Release, Series, Version
from .errors import NotFound
from .model import Status, Target
from .ondemand import OUTSIDE
from .osrelease import series_of
from .release import BadName
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
    distro: Distro
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


class PlaceQuery(Asked):
    """Of which kernels; what is not said is any."""

    distro: Distro | None = None
    series: Series | None = None
    arch: Arch | None = None

    @field_validator("series", mode="after")
    @classmethod
    def _as_of_its_distro(cls, text: str | None, others: ValidationInfo) -> str | None:
        """As targets.yml has it. Of which distribution a VERSION_ID is has to be known for that."""
        distro = others.data.get("distro")
        if text is None or distro is None:
            return text
        try:
            return series_of(distro, text)
        except NotFound as error:
            raise BadName(error.brief, hint=error.hint) from None

    def takes(self, target: Target) -> bool:
        """Whether kernels of a target are meant."""
        return (
            self.distro in (None, target.distro)
            and self.arch in (None, target.arch)
            and (self.series is None or target.series in (self.series, _series(target.distro, self.series)))
        )


class CoverageQuery(PlaceQuery):
    """Which builds are counted; each that is not said is any."""

    module: Module | None = None
    version: Version | None = Field(default=None, description="that a module's source is at")
    status: Status | Literal["running"] | None = None


class CountsQuery(CoverageQuery):
    """The same, and whether they are told one by one as well."""

    builds: bool = Field(default=False, description="every build with its status, too")


class KernelsQuery(PlaceQuery):
    """Which kernels are listed; each that is not said is any."""

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


def _series(distro: str, text: str) -> str:
    """As the distribution calls it; empty if that has no such series."""
    try:
        return series_of(distro, text)
    except NotFound:
        return ""


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
