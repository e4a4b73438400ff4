"""What `targets.yml` may say: what is followed, where that is listed, and with which compilers it is built."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Tag, field_validator, model_validator

from .distros import DISTROS
from .fields import NOT_EMPTY, ConfigPath, Name, Url, fitting
from .model import Target
from .yamlfile import NAMED_BY_KEY, Section, suggestion

Compiler = Annotated[str, fitting(re.compile(r"gcc-[0-9]{1,2}"), "a toolchain (gcc-12)")]
Arches = tuple[Literal["amd64", "arm64"], ...]
_ONE_OR_MORE = BeforeValidator(lambda data: (data,) if isinstance(data, str) else data)
# one, or several that serve the same: the first that answers is read
Mirrors = Annotated[tuple[Url, ...], _ONE_OR_MORE, NOT_EMPTY]


class AptAt(Section):
    """Components of a suite of an apt repository."""

    suite: Name
    component: Annotated[tuple[Name, ...], _ONE_OR_MORE, NOT_EMPTY] = ("main",)
    arches: Arches = ()
    """only these of its target's; all of them if not said"""
    mirror: str = ""
    """which mirror; the distribution's own if not said"""
    keyring: ConfigPath | None = None
    """whose signatures count; the distribution's own if not said"""
    check_valid_until: bool = True
    reason: str = ""

    @model_validator(mode="after")
    def _has_a_reason(self) -> "AptAt":
        if not self.check_valid_until and not self.reason:
            raise ValueError("check_valid_until: false needs a reason: an index that may be old hides new kernels")
        return self

    @property
    def name(self) -> str:
        """`bookworm-security main`, `noble main universe arm64`"""
        return " ".join((self.suite, *self.component, *self.arches))


# what tells one kind of repository from another: the key that only it has
_KINDS = ("suite",)


def _which_kind(data: object) -> str | None:
    keys = data if isinstance(data, dict) else type(data).model_fields if isinstance(data, Section) else ()
    named = [key for key in _KINDS if key in keys]
    return f"({named[0]})" if len(named) == 1 else None


RepositoryAt = Annotated[
    Annotated[AptAt, Tag("(suite)")],
    Discriminator(
        _which_kind,
        custom_error_type=NAMED_BY_KEY,
        custom_error_message=f"should have exactly one of {', '.join(f'{kind}:' for kind in _KINDS)}",
    ),
]


class Following(Section):
    """A series that is followed."""

    distro: Name
    series: Name
    arches: Annotated[Arches, NOT_EMPTY]
    repositories: Annotated[tuple[RepositoryAt, ...], NOT_EMPTY]
    compiler: Compiler = ""
    """of its kernels, where neither their packages nor their configuration say"""
    enabled: bool = True
    """false: written down, and not looked at"""

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(Target(distro=self.distro, series=self.series, arch=arch) for arch in self.arches)

    @field_validator("distro")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in DISTROS:
            near = suggestion(name, DISTROS) or f" (there are: {', '.join(sorted(DISTROS))})"
            raise ValueError(f"no distribution {name!r} is known{near}")
        return name

    @model_validator(mode="after")
    def _makes_targets(self) -> "Following":
        if len(set(self.targets)) != len(self.arches):
            raise ValueError("an architecture is here twice")
        return self

    @model_validator(mode="after")
    def _has_its_repositories_arches(self) -> "Following":
        for repository in self.repositories:
            if isinstance(repository, AptAt) and (other := set(repository.arches) - set(self.arches)):
                raise ValueError(f"{repository.name}: {', '.join(sorted(other))} is none of its arches")
        return self


class ToolchainFrom(Section):
    """The series whose packages a toolchain's image is made of."""

    distro: Name
    series: Name


class TargetsFile(Section):
    """targets.yml: what is followed, and with which compilers it is built."""

    mirrors: Mapping[Name, Mirrors] = {}
    toolchains: Mapping[Compiler, ToolchainFrom]
    targets: Annotated[tuple[Following, ...], NOT_EMPTY]
