"""What a repository of `targets.yml` may say that is kernels named by hand: those that no repository lists any more."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from .fields import NOT_EMPTY, Name, Release, Sha256, Url, Version
from .model import Target
from .repos.base import Group
from .repos.filenames import listed_at
from .repos.listed import group_of
from .yamlfile import Section


class HeaderOf(Section):
    """A header package that no repository lists any more."""

    url: Annotated[Url, AfterValidator(lambda text: listed_at(text).url)]
    sha256: Sha256


class KernelOf(Section):
    """A kernel that no repository lists any more."""

    release: Release
    """what `uname -r` prints on it, which has to be what its distribution makes of the packages' names"""
    version: Version
    """of its header package"""
    headers: Annotated[tuple[HeaderOf, ...], NOT_EMPTY]


class KernelsAt(Section):
    """Kernels that no repository lists any more, one by one."""

    name: Name
    """`kept`"""
    kernels: Annotated[tuple[KernelOf, ...], NOT_EMPTY]

    def named(self, targets: Sequence[Target]) -> dict[str, tuple[Target, ...]]:
        """`debian-bookworm kept`"""
        return of_series(self.name, targets)

    def groups(self, arches: Sequence[str]) -> tuple[Group, ...]:
        """What belongs together. arches: of the series."""
        return tuple(
            group_of(each.release, [(header.url, header.sha256) for header in each.headers], tuple(arches))
            for each in self.kernels
        )


def of_series(name: str, targets: Sequence[Target]) -> dict[str, tuple[Target, ...]]:
    """A repository that is for all architectures of a series. targets: of one series."""
    return {f"{target.distro}-{target.series} {name}": tuple(targets) for target in targets[:1]}
