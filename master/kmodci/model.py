"""The values everything else speaks of. Small, frozen, and free of any library but Python's own.

What enters here from outside has been checked by type (see `release`): a release or a name in one
of these objects is safe in a path, a key and a builder's name.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from .release import BadName, check_name, check_release, check_version

BUILD_ARCH: Final = "amd64"
"""Where builds run, but for those of a host of another architecture: the programs that belong to a kernel's headers
are taken for this one."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Target:
    """A distribution's series on one architecture, as we follow it."""

    distro: str
    series: str
    arch: str

    def __post_init__(self) -> None:
        for part in (self.distro, self.series, self.arch):
            if "-" in check_name(part, "part of a target"):
                raise BadName(f"not a part of a target: {part!r}", hint="it may not hold a '-'")

    def __str__(self) -> str:
        return f"{self.distro}-{self.series}-{self.arch}"

    @classmethod
    def parse(cls, text: str) -> "Target":
        """`debian-bookworm-amd64` -> Target. Raises BadName."""
        parts = text.split("-")
        if len(parts) != 3:
            raise BadName(f"not a target: {text[:80]!r}", hint="a target looks like debian-bookworm-amd64")
        return cls(distro=parts[0], series=parts[1], arch=parts[2])


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class BuildId:
    """One module for one kernel: `v4l2loopback/debian-bookworm-amd64/6.1.0-56-amd64`.

    The builder's name, the log line, the command line's argument and the selectors' subject.
    """

    module: str
    target: Target
    release: str

    def __str__(self) -> str:
        return f"{self.module}/{self.target}/{self.release}"

    @classmethod
    def parse(cls, text: str) -> "BuildId":
        """Raises BadName."""
        parts = text.split("/")
        if len(parts) != 3:
            raise BadName(
                f"not a build id: {text[:120]!r}",
                hint="a build id looks like v4l2loopback/debian-bookworm-amd64/6.1.0-56-amd64",
            )
        return cls(
            module=check_name(parts[0], "module"),
            target=Target.parse(parts[1]),
            release=check_release(parts[2]),
        )


class PackageKind(StrEnum):
    """What a file is that a kernel's headers are made of."""

    PACKAGE = "package"
    """a header package of a distribution"""
    SOURCE = "source"
    """a kernel's source, as a tarball"""
    CONFIG = "config"
    """the configuration of a kernel that comes as source"""
    SYMVERS = "symvers"
    """the Module.symvers of that kernel's own build, which its source cannot be made to give"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package as a signed index lists it, with where it can be fetched; or what stands for one (see `kind`)."""

    name: str
    version: str
    arch: str
    url: str
    size: int
    """bytes; 0 where the index does not say"""
    sha256: str
    """hex; empty where the index does not say"""
    kind: PackageKind = PackageKind.PACKAGE

    def __post_init__(self) -> None:
        # JSON has its text
        object.__setattr__(self, "kind", PackageKind(self.kind))

    @property
    def identity(self) -> str:
        """What tells it from any other package: its SHA256, or where it is from."""
        return self.sha256 or self.url


class Evidence(StrEnum):
    """What says which compiler a kernel was built with, the best first."""

    PACKAGE = "package"
    """the header package's own metadata"""
    CONFIG = "config"
    """CONFIG_CC_VERSION_TEXT of the unpacked headers"""
    SERIES = "series"
    """nothing of the kernel's own: what is configured for its series"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One buildable thing: a kernel release of a target, with what a build for it needs."""

    target: Target
    release: str
    version: str
    """of the header package, as the distribution numbers it (`6.1.192-2`)"""
    flavour: str
    toolchain: str
    """the compiler it was built with (`gcc-12`)"""
    repository: str
    """the repository that listed it first"""
    headers: tuple[Package, ...]
    """the header package itself first, then what a build needs of its dependencies; of a kernel that comes without
    header packages its source, then its configuration, then its Module.symvers, if there is one"""
    evidence: Evidence = Evidence.PACKAGE
    """for the compiler"""
    assumed: str = ""
    """the compiler that was taken for its own until its headers told; empty where they had nothing to tell"""
    gone: float = 0.0
    """when its repository was first seen not to list it any more, in seconds since the epoch; 0 if it does"""
    native: tuple[Package, ...] = ()
    """what takes the place of the packages of the same names where it is built on its own architecture: those that
    hold programs"""

    def __str__(self) -> str:
        return f"{self.target}/{self.release}"

    @property
    def absence(self) -> str:
        """`gone from trixie main since 2026-11-24`; empty if it is listed."""
        when = datetime.fromtimestamp(self.gone, UTC)
        return f"gone from {self.repository} since {when:%Y-%m-%d}" if self.gone else ""

    @property
    def is_source(self) -> bool:
        """Whether its headers have to be made of its source and configuration."""
        return self.headers[0].kind is PackageKind.SOURCE

    def on(self, arch: str) -> "Kernel":
        """The same as it is built on a machine of this architecture: it has other header packages where these hold
        programs, and so another bundle."""
        if arch == BUILD_ARCH or not self.native:
            return self
        instead = {package.name: package for package in self.native}
        return replace(self, headers=tuple(instead.get(each.name, each) for each in self.headers), native=())

    def can_be_built_on(self, arch: str) -> bool:
        """Whether its header packages are known for a machine of this architecture."""
        return arch == BUILD_ARCH or all(each.arch != BUILD_ARCH for each in self.on(arch).headers)

    @property
    def headers_digests(self) -> tuple[str, ...]:
        """What names its header packages, for each kind of machine that it can be built on."""
        return tuple(dict.fromkeys((self.headers_digest, self.on(self.target.arch).headers_digest)))

    @property
    def has_symvers(self) -> bool:
        """Whether it is known which symbols it exports: header packages have a Module.symvers."""
        return not self.is_source or any(package.kind is PackageKind.SYMVERS for package in self.headers)

    @property
    def headers_digest(self) -> str:
        """Names the set of header packages: hex SHA256 over their SHA256s.

        Of what is made of a source, the release as well: the same source and configuration make another kernel's
        headers, which are told what `uname -r` prints.
        """
        return headers_digest((package.identity for package in self.headers), self.release if self.is_source else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleVersion:
    """The source of a module as it is now: resolved from git, a tarball, a folder or a package."""

    module: str
    version: str
    origin: str
    """where from, for people: a URL with its commit, a package with its version"""
    fetch: Mapping[str, str] = field(default_factory=dict)
    """what `sources` needs to get exactly this source again (url and sha256, or url and commit, ...)"""
    digest: str = ""
    """names the content: a SHA256 or a git commit; part of what decides whether to build again"""


class Status(StrEnum):
    """What a build is, in the words that users see."""

    PENDING = "pending"
    BUILT = "built"
    FAILED = "failed"
    UNAVAILABLE = "unavailable"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a build ended. `key` names its inputs: the same key is not tried twice by itself."""

    build_id: BuildId
    key: str
    status: Status
    cause: str = ""
    """for failed, unavailable and skipped: one line that says why"""
    module_version: str
    kernel_version: str
    finished: float
    """seconds since the epoch"""
    seconds: float = 0.0
    """wall time of the build"""
    make_seconds: float = 0.0
    """CPU time of the bare make, as measured in the container"""
    build_url: str = ""
    manifest: str = ""
    """the manifest's key in the bucket, for built"""
    image: str = ""
    """the toolchain image's recipe digest"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why a build is due and not asked for: the farm failed it, or somebody cancelled it; no word about its module."""

    build_id: BuildId
    key: str
    """of the inputs that it holds for; others are free"""
    reason: str
    tries: int = 0
    """how often in a row the farm failed it; 0 for a build that was cancelled"""
    noted: float
    """seconds since the epoch"""
    until: float = math.inf
    """seconds since the epoch; for ever is until a person asks"""


def headers_digest(packages: Iterable[str], made_for: str = "") -> str:
    """Names a set of header packages, given their identities in their order.

    made_for: the kernel release, where they are no packages but what headers are made of.
    """
    return hashlib.sha256("\n".join([*packages, *filter(None, [made_for])]).encode()).hexdigest()


def input_key(*, build_id: BuildId, module: ModuleVersion, recipe: str, kernel: Kernel, image: str) -> str:
    """Names what goes into a build: equal keys need no second build. Hex SHA256.

    recipe: digest of how the module is built (its `build:` and `artifacts:`); image: the toolchain
    image's recipe digest.
    """
    text = json.dumps(
        [
            str(build_id),
            module.version,
            module.digest,
            recipe,
            kernel.version,
            kernel.headers_digest,
            kernel.toolchain,
            image,
        ]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def check_module_version(text: str) -> str:
    """A module version is part of keys in the bucket, and of words in containers. Raises BadName."""
    if "^" in text:
        raise BadName(f"not a module version: {text[:80]!r}", hint="letters, digits and . + ~ : _ - only")
    return check_version(text, "module version")
