"""What `modules.yml` may say: modules, where their sources are from, and how they are built."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Discriminator, Tag, model_validator

from .fields import NOT_EMPTY, ConfigPath, KernelSelector, Name, Sha256, Url, check_url, fitting
from .model import check_module_version
from .release import check_name
from .schema import OtherLimits
from .yamlfile import NAMED_BY_KEY, Section

_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_ARTIFACT = re.compile(r"[A-Za-z0-9_*?\[\]./+-]{1,200}\.ko")

# what the bucket has below index/ beside modules (`keys.KERNEL_LISTS`)
_TAKEN = ("kernel-crawler",)


def _module_name(text: str) -> str:
    if text in _TAKEN:
        raise ValueError(f"no module can be called {text}: the bucket has lists of kernels under that name")
    return check_name(text, "module")


ModuleName = Annotated[str, AfterValidator(_module_name)]
Ref = Annotated[str, fitting(_REF, "a git branch, tag or commit")]
Artifact = Annotated[str, fitting(_ARTIFACT, "a pattern of module files below the source, like src/*.ko")]


def _git_url(text: str) -> str:
    """Not every URL that git takes: `ext::` runs commands (gitremote-helpers(7))."""
    return check_url(text, ("https", "http", "ssh", "git", "file"))


class GitSource(Section):
    """A git repository: the newest commit of `ref`, or the newest tag that fits `tags`."""

    git: Annotated[str, AfterValidator(_git_url)]
    ref: Ref | None = None
    tags: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "GitSource":
        if (self.ref is None) == (self.tags is None):
            raise ValueError("needs either ref: (a branch, tag or commit) or tags: (a pattern; the newest counts)")
        return self


class TarballSource(Section):
    """An archive at a URL."""

    tarball: Url
    sha256: Sha256


class PathSource(Section):
    """A folder on the master."""

    path: ConfigPath


class DebianSource(Section):
    """A Debian package with the module's source (`...-dkms`), from a suite that targets.yml follows."""

    debian: Name
    suite: Name


_SOURCES = ("git", "tarball", "path", "debian")


def _which_source(data: object) -> str | None:
    keys = data if isinstance(data, dict) else type(data).model_fields if isinstance(data, Section) else ()
    named = [key for key in _SOURCES if key in keys]
    return f"({named[0]})" if len(named) == 1 else None


Source = Annotated[
    Annotated[GitSource, Tag("(git)")]
    | Annotated[TarballSource, Tag("(tarball)")]
    | Annotated[PathSource, Tag("(path)")]
    | Annotated[DebianSource, Tag("(debian)")],
    Discriminator(
        _which_source,
        custom_error_type=NAMED_BY_KEY,
        custom_error_message="should have exactly one of git:, tarball:, path:, debian:",
    ),
]


class KernelChoice(Section):
    """The kernels that a module is built for."""

    include: tuple[KernelSelector, ...] = ("*",)
    exclude: tuple[KernelSelector, ...] = ()


class Module(Section):
    """A module: where its source is from, and how it is built if its dkms.conf does not say."""

    source: Source
    version: Annotated[str, AfterValidator(check_module_version)] = ""
    build: str = ""
    """a shell command, run in the source's folder"""
    artifacts: tuple[Artifact, ...] = ()
    kernels: KernelChoice = KernelChoice()
    limits: OtherLimits = OtherLimits()
    labels: tuple[Name, ...] = ()
    """that a host must have for it to be built there"""

    @model_validator(mode="after")
    def _is_complete(self) -> "Module":
        if isinstance(self.source, TarballSource | PathSource) and not self.version:
            raise ValueError("a tarball or a folder has no version of its own: say version:")
        if bool(self.build) != bool(self.artifacts):
            raise ValueError("build: (how to build it) and artifacts: (what that makes) go together")
        return self

    @property
    def recipe_digest(self) -> str:
        """Names how it is built. Hex SHA256."""
        return hashlib.sha256(json.dumps([self.build, self.artifacts]).encode()).hexdigest()


class ModulesFile(Section):
    """modules.yml: what is built."""

    modules: Annotated[Mapping[ModuleName, Module], NOT_EMPTY]
