"""What `targets.yml` may say of a repository: its kind is told by the key that only that kind has."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from .fields import NOT_EMPTY, ConfigPath, FilePlace, Name, Release, Sha256, Url, Version, check_url, fitting
from .kernelsat import KernelsAt, of_series
from .model import Target
from .repos.base import MACHINES, Signed
from .yamlfile import NAMED_BY_KEY, Section

Arches = Annotated[tuple[Literal["amd64", "arm64"], ...], NOT_EMPTY]
ONE_OR_MORE = BeforeValidator(lambda data: (data,) if isinstance(data, str) else data)
Pattern = Annotated[str, fitting(re.compile(r"[A-Za-z0-9.+~_*?\[\]!-]{1,200}"), "a pattern of kernel releases (6.1.*)")]
_BUILDS = re.compile(r"[0-9A-Za-z*?.+~^_-]{1,64}")
_KEY = re.compile(r"[0-9a-f]{8}")
_FOLDER = re.compile(r"[A-Za-z0-9$][A-Za-z0-9$._~+/-]*")


def check_path_or_url(text: str) -> str:
    """Of a folder, with `$basearch` at most."""
    checked = check_url(text) if "://" in text else text.strip("/")
    rest = checked.replace("$basearch", "")
    if "$" in rest or ".." in rest or not ("://" in text or _FOLDER.fullmatch(checked)):
        raise ValueError(f"neither a path below a mirror nor a URL: {text[:120]!r} ($basearch is all that is replaced)")
    return checked


def check_list_url(text: str) -> str:
    """With `$basearch` at most."""
    checked = check_url(text)
    if "$" in checked.replace("$basearch", "") or "#" in checked:
        raise ValueError(f"not the URL of a list: {text[:120]!r} ($basearch is all that is replaced)")
    return checked


ListUrl = Annotated[str, AfterValidator(check_list_url)]
"""in which `$basearch` stands for x86_64 or aarch64"""


class AptAt(Section):
    """Components of a suite of an apt repository."""

    suite: Name
    component: Annotated[tuple[Name, ...], ONE_OR_MORE, NOT_EMPTY] = ("main",)
    arches: Arches | None = None
    """of the series', those that this mirror has; all if not said"""
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

    def named(self, targets: Sequence[Target]) -> dict[str, tuple[Target, ...]]:
        """The repositories that this is, with the targets that each has kernels for: `bookworm-security main`.

        With the architectures where they are not all: `noble main universe arm64`.
        """
        here = tuple(each for each in targets if not self.arches or each.arch in self.arches)
        return {" ".join((self.suite, *self.component, *(self.arches or ()))): here} if here else {}


class SignedAt(Section):
    """A repository whose vendor signs this or that of it, or nothing."""

    signed: Signed
    keyring: ConfigPath | None = None
    """whose signatures count; as the vendor publishes it"""
    reason: str = ""

    @model_validator(mode="after")
    def _is_believed_for_a_reason(self) -> Self:
        if self.signed is not Signed.NO and self.keyring is None:
            raise ValueError(f"signed: {self.signed} needs a keyring: the file with the vendor's keys")
        if self.signed is Signed.NO and not self.reason:
            raise ValueError("signed: no needs a reason: whoever is between here and the mirror can change everything")
        return self


class RpmFolder(SignedAt):
    """An rpm repository: a folder with repodata in it, or one for each architecture."""

    name: Name
    """`baseos`"""
    arches: Arches | None = None
    """of the series', those that it has; all if not said"""

    def named(self, targets: Sequence[Target]) -> dict[str, tuple[Target, ...]]:
        """As `AptAt.named`, one for each architecture: `almalinux-9-amd64 baseos`."""
        return {f"{each} {self.name}": (each,) for each in targets if not self.arches or each.arch in self.arches}


class RpmAt(RpmFolder):
    """One whose place is known."""

    rpm: Annotated[str, AfterValidator(check_path_or_url)]
    """below the mirror, or a whole URL; `$basearch` in it stands for x86_64 or aarch64"""
    mirror: str = ""
    """which mirror; the distribution's own if not said"""

    @model_validator(mode="after")
    def _is_in_one_place(self) -> Self:
        if self.mirror and "://" in self.rpm:
            raise ValueError("rpm: is a whole URL, so there is no mirror: to look below")
        return self

    def rpm_for(self, arch: str) -> str:
        """Path or URL, for an architecture."""
        return self.rpm.replace("$basearch", MACHINES[arch])


class MirrorlistAt(RpmFolder):
    """One whose mirrors are asked for; the vendor's server answers with their base URLs, one per line."""

    mirrorlist: ListUrl


class MetalinkAt(RpmFolder):
    """One whose mirrors are asked for; the vendor's server also says which index is the newest."""

    metalink: ListUrl


class PacmanAt(SignedAt):
    """A pacman repository of Arch, or what Arch's archive has of one."""

    pacman: Name
    """`core`"""
    mirror: Annotated[str, AfterValidator(lambda text: check_url(text) if "://" in text else text)] = ""
    """which mirror, or its base URL; the distribution's own if not said"""
    archive_since: date | None = None
    """the mirror is an archive, which has each day from this one on"""

    @model_validator(mode="after")
    def _is_signed_where_it_can_be(self) -> Self:
        if self.archive_since and self.signed is Signed.INDEX:
            raise ValueError("signed: index cannot be: an archive does not keep the signatures of databases")
        return self

    def named(self, targets: Sequence[Target]) -> dict[str, tuple[Target, ...]]:
        """As `AptAt.named`: `arch-rolling-amd64 core`, `arch-rolling-amd64 core archive`."""
        return {f"{each} {self.pacman}{' archive' if self.archive_since else ''}": (each,) for each in targets}


class KojiAt(RpmFolder):
    """A package's builds in Koji, each of which has its folders."""

    koji: Name
    """the package: `kernel`"""
    hub: Url
    """answers XML-RPC"""
    files: Url
    """what packages/ is below"""
    builds: Annotated[str, fitting(_BUILDS, "a pattern of releases (*.fc42)")]
    newest: int = Field(default=50, ge=1, le=1000)
    """how many of the builds at most"""
    key: Annotated[str, fitting(_KEY, "the id of a key: 8 hex digits")] = ""
    """whose signed copies are taken; the packages as they were built if not said"""
    insecure: bool = False
    """true: http will do"""

    @model_validator(mode="after")
    def _is_what_koji_has(self) -> Self:
        if self.signed is Signed.INDEX:
            raise ValueError("signed: index cannot be: a hub signs nothing of what it answers")
        if self.signed is Signed.PACKAGES and not self.key:
            raise ValueError("signed: packages needs a key: the id of the vendor's, which names the signed copies")
        if self.insecure and not self.reason:
            raise ValueError("insecure: true needs a reason: whoever is between here and the hub can change everything")
        if not self.insecure and not (self.hub.startswith("https://") and self.files.startswith("https://")):
            raise ValueError("hub: and files: should be https:// (or say `insecure: true` with a `reason:`)")
        return self


class CrawlerAt(SignedAt):
    """A list of kernel-crawler's, which vouches for nothing."""

    name: Name
    """`crawled`"""
    crawler: FilePlace
    """the list; `$basearch` in it stands for x86_64 or aarch64, of which each has its own"""
    distribution: Name = ""
    """whose kernels, as the list calls it; as it calls the series' own if not said"""
    releases: Annotated[tuple[Pattern, ...], NOT_EMPTY] = ("*",)
    """those that are of the series: a list has all that there are of a distribution together"""
    versions: Annotated[tuple[Pattern, ...], NOT_EMPTY] = ("*",)
    """the same by kernelversion, which tells the configurations of one release apart (`1_1.32.0-aws`)"""

    @model_validator(mode="after")
    def _has_no_checksums(self) -> Self:
        if self.signed is Signed.INDEX:
            raise ValueError("signed: a list has no checksums: say packages, if these are signed, or no, with a reason")
        return self

    def named(self, targets: Sequence[Target]) -> dict[str, tuple[Target, ...]]:
        """`debian-bookworm crawled`"""
        return of_series(self.name, targets)


class SourceOf(Section):
    """A kernel that comes without header packages: its source, its configuration."""

    release: Release
    version: Version = ""
    """the vendor's number for it, the greater the newer"""
    tarball: Url
    sha256: Sha256
    config: FilePlace
    config_sha256: Sha256 = ""
    symvers: FilePlace = ""
    """the Module.symvers of the kernel's own build"""
    symvers_sha256: Sha256 = ""

    @model_validator(mode="after")
    def _has_hashes(self) -> "SourceOf":
        for name in ("config", "symvers"):
            if "://" in getattr(self, name) and not getattr(self, f"{name}_sha256"):
                raise ValueError(f"{name}: {getattr(self, name)} needs {name}_sha256")
        return self


class SourcesAt(Section):
    """Kernels that come without header packages, one by one."""

    name: Name
    """`by-hand`"""
    sources: Annotated[tuple[SourceOf, ...], NOT_EMPTY]

    def named(self, targets: Sequence[Target]) -> dict[str, tuple[Target, ...]]:
        """As `AptAt.named`, one for all architectures: `flatcar-stable by-hand`."""
        return {f"{targets[0].distro}-{targets[0].series} {self.name}": tuple(targets)}


KERNEL_ORG = "kernel.org"
"""the mirror for the sources of kernels that a list has the configurations of"""

# what tells one kind of repository from another: the key that only it has
_KINDS = ("suite", "rpm", "mirrorlist", "metalink", "pacman", "koji", "crawler", "kernels", "sources")


def _which_kind(data: object) -> str | None:
    keys = data if isinstance(data, dict) else type(data).model_fields if isinstance(data, Section) else ()
    named = [key for key in _KINDS if key in keys]
    return f"({named[0]})" if len(named) == 1 else None


RepositoryAt = Annotated[
    Annotated[AptAt, Tag("(suite)")]
    | Annotated[RpmAt, Tag("(rpm)")]
    | Annotated[MirrorlistAt, Tag("(mirrorlist)")]
    | Annotated[MetalinkAt, Tag("(metalink)")]
    | Annotated[PacmanAt, Tag("(pacman)")]
    | Annotated[KojiAt, Tag("(koji)")]
    | Annotated[CrawlerAt, Tag("(crawler)")]
    | Annotated[KernelsAt, Tag("(kernels)")]
    | Annotated[SourcesAt, Tag("(sources)")],
    Discriminator(
        _which_kind,
        custom_error_type=NAMED_BY_KEY,
        custom_error_message=f"should have exactly one of {', '.join(f'{kind}:' for kind in _KINDS)}",
    ),
]
