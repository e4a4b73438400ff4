"""Arch Linux: a kernel is a `linux*-headers` package. A release that rolls: one series, `rolling`.

What `uname -r` prints is put together by the kernel's own build, out of four things that the package's name and version
have as well: the version as upstream numbers it, always with three numbers (the kernel's Makefile, KERNELVERSION); the
patch set that `pkgver` ends with; `pkgrel`; what the package is called beyond `linux`. (The last two are files that
prepare() of each PKGBUILD writes: https://gitlab.archlinux.org/archlinux/packaging/packages/linux.)

    linux-headers           6.12.7.arch1-1      -> 6.12.7-arch1-1
    linux-lts-headers       6.12.8-1            -> 6.12.8-1-lts
    linux-zen-headers       6.12.8.zen1-1       -> 6.12.8-zen1-1-zen
    linux-hardened-headers  6.11.9.hardened1-1  -> 6.11.9-hardened1-1-hardened
    linux-headers           6.10.arch1-2        -> 6.10.0-arch1-2

Headers of another release than that are refused when they are unpacked.
"""

import re
from collections.abc import Iterable, Sequence

from kmodci.errors import KmodciError
from kmodci.model import Evidence, Kernel, Target
from kmodci.release import check_release
from kmodci.repos.base import Listed
from kmodci.repos.pacmanversion import vercmp

from .base import Found, Layout, Place, Tree, found, without_compiler

# The flavour, and what the patch set that its version ends with is called. (linux-rt has a scheme of its own.)
_FLAVOURS = {
    "linux-headers": ("linux", "arch"),
    "linux-lts-headers": ("lts", ""),
    "linux-zen-headers": ("zen", "zen"),
    "linux-hardened-headers": ("hardened", "hardened"),
}
_VERSION = re.compile(
    r"(?P<upstream>[0-9]+\.[0-9]+)(?P<point>\.[0-9]+)?"
    r"(?:\.(?P<patches>[a-z]+)(?P<number>[0-9]+))?-(?P<pkgrel>[0-9]+(?:\.[0-9]+)?)"
)


class _NoKernel(KmodciError):
    """A package cannot be used, and why."""


class Arch:
    """See `distros.base.Distro`."""

    by_series = False
    index_prefixes = tuple(_FLAVOURS)

    def index_arches(self, arches: Sequence[str]) -> tuple[str, ...]:
        return tuple(arches)

    def compare(self, version: str, other: str) -> int:
        """vercmp(8)."""
        return vercmp(version, other)

    def kernels(self, listed: Iterable[Listed], place: Place) -> Found:
        if not place.compiler:
            return without_compiler()
        wanted = (
            package for package in dict.fromkeys(listed) if package.name in _FLAVOURS and package.arch in place.arches
        )
        return found(wanted, lambda each: _kernel(each, place))

    def layout(self, kernel: Kernel) -> Layout:
        folder = f"linux-headers-{kernel.release}"
        tree = Tree(folder=folder, roots=(f"usr/lib/modules/{kernel.release}/build",))
        return Layout(trees=(tree,), own=folder)


def _kernel(package: Listed, place: Place) -> Kernel:
    """Raises BadName, _NoKernel."""
    flavour, _ = _FLAVOURS[package.name]
    return Kernel(
        target=Target(distro=place.distro, series=place.series, arch=package.arch),
        release=check_release(_release(package)),
        version=package.version,
        flavour=flavour,
        toolchain=place.compiler,
        evidence=Evidence.SERIES,
        repository=place.repository,
        headers=(package.package(),),
    )


def _release(package: Listed) -> str:
    """What `uname -r` prints, without the check of its characters. Raises _NoKernel."""
    flavour, patches = _FLAVOURS[package.name]
    found = _VERSION.fullmatch(package.version)
    if not found or (found["patches"] or "") != patches:
        like = f"6.12.7.{patches}1-1" if patches else "6.12.7-1"
        raise _NoKernel(f"its version is not one of {package.name.removesuffix('-headers')}, like {like}")
    set_ = f"-{found['patches']}{found['number']}" if patches else ""
    name = "" if flavour == "linux" else f"-{flavour}"
    return f"{found['upstream']}{found['point'] or '.0'}{set_}-{found['pkgrel']}{name}"
