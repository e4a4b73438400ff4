"""Debian: a kernel is a `linux-headers-*` package of an architecture that depends on a `linux-kbuild-*`.

The release is the package's name, the compiler and the other header packages are its `Depends`:

    linux-headers-6.1.0-56-amd64 -> linux-headers-6.1.0-56-common, linux-kbuild-6.1, linux-compiler-gcc-12-x86

so metapackages (`linux-headers-amd64`) and the common parts are no kernels. Where dependencies are not known, as of
packages that are known by their URLs only, they are taken to be what the names say; the compiler then is the series'.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from kmodci.model import BUILD_ARCH, Evidence, Kernel, Package, Target
from kmodci.release import check_release
from kmodci.repos.base import Dependency, Listed

from .base import Found, Layout, Place, Tree, found
from .debs import Unresolved, by_name, compare, dependencies, resolve

_HEADERS = "linux-headers-"
_KBUILD = "linux-kbuild-"
_COMMON = re.compile(r"linux-headers-(?P<abi>.+)-common(?:-rt)?")
_COMPILER = re.compile(r"(?:linux-compiler-)?(?P<toolchain>gcc-[0-9]+)(?:-x86|-arm|-for-host)?")
# metapackages have no number, or are for all flavours (`linux-headers-5.10.0-32-all`, `-all-amd64`)
_BY_NAME = re.compile(r"linux-headers-[0-9](?!.*-(?:all|common)(?:-|$)).*")


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
        wanted = (package for package in unique if package.arch in place.arches and _is_kernel(package))
        made = found(wanted, lambda each: self._kernel(each, index, place))
        mismatches = (problem for kernel in made.kernels for problem in _mismatches(kernel))
        return replace(made, problems=(*made.problems, *mismatches))

    def layout(self, kernel: Kernel) -> Layout:
        names = [package.name for package in kernel.headers]
        common = next((name for name in names if _COMMON.fullmatch(name)), "")
        return Layout(trees=tuple(map(_tree, names)), own=names[0], source=common)

    def _kernel(self, package: Listed, index: Mapping[str, Sequence[Listed]], place: Place) -> Kernel:
        """Raises BadName, Unresolved."""
        release = check_release(package.name.removeprefix(_HEADERS))
        evidence = Evidence.PACKAGE if package.depends else Evidence.SERIES
        if not package.depends:
            package = replace(package, depends=_depends_by_name(release, index, place))
        common, abi = _common(package)
        if not release.startswith(f"{abi}-"):
            raise Unresolved(f"needs {common}, which belongs to another kernel release")
        kbuild = _kbuild(package)
        parts = [package, *(resolve(each, package, index, BUILD_ARCH) for each in (common, kbuild))]
        return Kernel(
            target=Target(distro=place.distro, series=place.series, arch=package.arch),
            release=release,
            version=package.version,
            flavour=release.removeprefix(f"{abi}-"),
            toolchain=_toolchain(package),
            repository=place.repository,
            headers=tuple(part.package() for part in parts),
            evidence=evidence,
            native=_native(kbuild, package, index),
        )


def _native(kbuild: Dependency, package: Listed, index: Mapping[str, Sequence[Listed]]) -> tuple[Package, ...]:
    """The programs for the kernel's own architecture, where they are listed and others than where builds run."""
    try:
        found = resolve(kbuild, package, index, package.arch).package()
    except Unresolved:
        # of a list, as a rule, which names what was once used
        return ()
    return (found,) if found.arch not in ("all", BUILD_ARCH) else ()


def _tree(name: str) -> Tree:
    # linux-kbuild shows itself in a second place as well, by a link
    folders = ("usr/lib", "usr/src") if name.startswith(_KBUILD) else ("usr/src",)
    return Tree(folder=name, roots=tuple(f"{folder}/{name}" for folder in folders))


def _is_kernel(package: Listed) -> bool:
    if not package.depends:
        return bool(_BY_NAME.fullmatch(package.name))
    return package.name.startswith(_HEADERS) and any(one.name.startswith(_KBUILD) for one in dependencies(package))


def _depends_by_name(release: str, names: Iterable[str], place: Place) -> tuple[tuple[Dependency, ...], ...]:
    """What a kernel's header package depends on, if it is one of these packages. Raises Unresolved."""
    found = [(name, abi["abi"]) for name in names if (abi := _COMMON.fullmatch(name)) and _is_of(release, abi["abi"])]
    common = max(found, key=lambda each: (("-rt-" in release) == each[0].endswith("-rt"), each), default=None)
    programs = (name for name in names if name.startswith(_KBUILD) and _is_of(release, name.removeprefix(_KBUILD)))
    kbuild = max(programs, key=len, default="")
    if not common or not kbuild:
        missing = "linux-kbuild-*" if common else f"{_HEADERS}*-common"
        raise Unresolved(f"comes without a {missing} of its own")
    if not place.compiler:
        raise Unresolved("nothing says with which compiler it was built", hint="say `compiler:` of its series")
    return tuple((Dependency(name=name),) for name in (common[0], kbuild, place.compiler))


def _is_of(release: str, part: str) -> bool:
    """Whether a release begins with this part of it: 6.1.0-56-amd64 with 6.1, 6.1.0-56, but not with 6.1.0-5."""
    return release.startswith((f"{part}.", f"{part}-"))


def _mismatches(kernel: Kernel) -> Iterator[str]:
    """Packages that were not built together, where nothing but a list says that they belong together.

    The lists that kernel-crawler published have had another suite's linux-kbuild with every second kernel: it works
    as long as it can be downloaded, and its programs run.
    """
    own, *others = kernel.headers
    if kernel.evidence is Evidence.SERIES:
        for other in others:
            if other.version != own.version:
                yield f"{own.name} {own.version} comes with {other.name} {other.version}"


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
