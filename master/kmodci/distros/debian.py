"""Debian: a kernel is a `linux-headers-*` package of an architecture that depends on a `linux-kbuild-*`.

The release is the package's name, the compiler and the other header packages are its `Depends`:

    linux-headers-6.1.0-56-amd64 -> linux-headers-6.1.0-56-common, linux-kbuild-6.1, linux-compiler-gcc-12-x86

so metapackages (`linux-headers-amd64`) and the common parts are no kernels.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from kmodci.errors import KmodciError
from kmodci.model import Kernel, Target
from kmodci.release import check_release
from kmodci.repos.base import Dependency, Listed

from .base import BUILD_ARCH, Found, Layout, Place, Tree
from .debs import Unresolved, by_name, compare, dependencies, resolve

_HEADERS = "linux-headers-"
_KBUILD = "linux-kbuild-"
_COMMON = re.compile(r"linux-headers-(?P<abi>.+)-common(?:-rt)?")
_COMPILER = re.compile(r"(?:linux-compiler-)?(?P<toolchain>gcc-[0-9]+)(?:-x86|-arm|-for-host)?")


class Debian:
    """See `distros.base.Distro`."""

    by_series = False
    index_prefixes = (_HEADERS, _KBUILD)

    def index_arches(self, arches: Sequence[str]) -> tuple[str, ...]:
        """linux-kbuild holds programs, and these run where the build runs."""
        return tuple(dict.fromkeys((*arches, BUILD_ARCH)))

    def compare(self, version: str, other: str) -> int:
        """deb-version(7)."""
        return compare(version, other)

    def kernels(self, listed: Iterable[Listed], place: Place) -> Found:
        unique = tuple(dict.fromkeys(listed))
        index = by_name(unique)
        kernels: list[Kernel] = []
        problems: list[str] = []
        for package in unique:
            if package.arch in place.arches and _is_kernel(package):
                try:
                    kernels.append(self._kernel(package, index, place))
                except KmodciError as fault:
                    problems.append(f"{package.name} {package.version}: {fault.brief}")
        return Found(kernels=tuple(kernels), problems=tuple(problems))

    def layout(self, kernel: Kernel) -> Layout:
        names = [package.name for package in kernel.headers]
        common = next((name for name in names if _COMMON.fullmatch(name)), "")
        return Layout(trees=tuple(map(_tree, names)), own=names[0], source=common)

    def _kernel(self, package: Listed, index: Mapping[str, Sequence[Listed]], place: Place) -> Kernel:
        """Raises BadName, Unresolved."""
        release = check_release(package.name.removeprefix(_HEADERS))
        common, abi = _common(package)
        if not release.startswith(f"{abi}-"):
            raise Unresolved(f"needs {common}, which belongs to another kernel release")
        parts = [package, *(resolve(each, package, index, BUILD_ARCH) for each in (common, _kbuild(package)))]
        return Kernel(
            target=Target(distro=place.distro, series=place.series, arch=package.arch),
            release=release,
            version=package.version,
            flavour=release.removeprefix(f"{abi}-"),
            toolchain=_toolchain(package),
            repository=place.repository,
            headers=tuple(part.package() for part in parts),
        )


def _tree(name: str) -> Tree:
    # linux-kbuild shows itself in a second place as well, by a link
    folders = ("usr/lib", "usr/src") if name.startswith(_KBUILD) else ("usr/src",)
    return Tree(folder=name, roots=tuple(f"{folder}/{name}" for folder in folders))


def _is_kernel(package: Listed) -> bool:
    return package.name.startswith(_HEADERS) and any(one.name.startswith(_KBUILD) for one in dependencies(package))


def _kbuild(package: Listed) -> Dependency:
    return next(one for one in dependencies(package) if one.name.startswith(_KBUILD))


def _common(package: Listed) -> tuple[Dependency, str]:
    """The package with what all flavours share, and the part of the release that names it (`6.1.0-56`)."""
    for one in dependencies(package):
        if found := _COMMON.fullmatch(one.name):
            return one, found["abi"]
    raise Unresolved("depends on no linux-headers-*-common")


def _toolchain(package: Listed) -> str:
    for one in dependencies(package):
        if found := _COMPILER.fullmatch(one.name):
            return found["toolchain"]
    raise Unresolved(
        "depends on no compiler that is known", hint="expected gcc-N, gcc-N-for-host or linux-compiler-gcc-N-*"
    )
