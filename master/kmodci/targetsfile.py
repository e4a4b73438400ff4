"""What `targets.yml` may say: what is followed, where that is listed, and with which compilers it is built."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import field_validator, model_validator

from .distros import DISTROS
from .fields import NOT_EMPTY, Name, Url, fitting
from .model import Target
from .repositoriesat import ONE_OR_MORE, AptAt, Arches, PacmanAt, RepositoryAt
from .yamlfile import Section, suggestion

Compiler = Annotated[str, fitting(re.compile(r"gcc-[0-9]{1,2}"), "a toolchain (gcc-12)")]
# one, or several that serve the same: the first that answers is read
Mirrors = Annotated[tuple[Url, ...], ONE_OR_MORE, NOT_EMPTY]


class Following(Section):
    """A series that is followed."""

    distro: Name
    series: Name
    arches: Arches
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
        for number, repository in enumerate(self.repositories):
            if isinstance(repository, AptAt) and (other := set(repository.arches or ()) - set(self.arches)):
                raise ValueError(f"repositories[{number}]: {', '.join(sorted(other))} is none of its arches")
        return self

    @model_validator(mode="after")
    def _has_what_arch_has(self) -> "Following":
        if any(isinstance(each, PacmanAt) for each in self.repositories) and self.arches != ("amd64",):
            raise ValueError("arches: Arch has amd64 only (Arch Linux ARM is another project, with other mirrors)")
        return self


class ToolchainFrom(Section):
    """The series whose packages a toolchain's image is made of."""

    distro: Name
    series: Name
    enabled: bool = True
    """false: written down, and no image of it is made"""


class TargetsFile(Section):
    """targets.yml: what is followed, and with which compilers it is built."""

    mirrors: Mapping[Name, Mirrors] = {}
    toolchains: Mapping[Compiler, ToolchainFrom]
    targets: Annotated[tuple[Following, ...], NOT_EMPTY]
