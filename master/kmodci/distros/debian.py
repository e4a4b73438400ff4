"""Debian: a kernel is a `linux-headers-*` package of an architecture that depends on a `linux-kbuild-*`.

The release is the package's name, the compiler and the other header packages are its `Depends`:

    linux-headers-6.1.0-56-amd64 -> linux-headers-6.1.0-56-common, linux-kbuild-6.1, linux-compiler-gcc-12-x86

so metapackages (`linux-headers-amd64`) and the common parts are no kernels.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cmp_to_key

from debian.debian_support import version_compare

from kmodci.errors import KmodciError
from kmodci.model import Kernel, Target
from kmodci.release import check_release
from kmodci.repos.apt import Dependency, Stanza

from .base import BUILD_ARCH, Found, Place

_HEADERS = "linux-headers-"
_KBUILD = "linux-kbuild-"
_COMMON = re.compile(r"linux-headers-(?P<abi>.+)-common(?:-rt)?")
_COMPILER = re.compile(r"(?:linux-compiler-)?(?P<toolchain>gcc-[0-9]+)(?:-x86|-arm|-for-host)?")


class _Unresolved(KmodciError):
    """A header package cannot be used, and why."""


class Debian:
    """See `distros.base.Distro`."""

    index_prefixes = (_HEADERS, _KBUILD)

    def index_arches(self, arches: Sequence[str]) -> tuple[str, ...]:
        """linux-kbuild holds programs, and these run where the build runs."""
        return tuple(dict.fromkeys((*arches, BUILD_ARCH)))

    def compare(self, version: str, other: str) -> int:
        """deb-version(7)."""
        return int(version_compare(version, other))

    def kernels(self, stanzas: Iterable[Stanza], place: Place) -> Found:
        unique = tuple(dict.fromkeys(stanzas))
        index: defaultdict[str, list[Stanza]] = defaultdict(list)
        for stanza in unique:
            index[stanza.name].append(stanza)
        kernels: list[Kernel] = []
        problems: list[str] = []
        for stanza in unique:
            if stanza.arch in place.arches and _is_kernel(stanza):
                try:
                    kernels.append(self._kernel(stanza, index, place))
                except KmodciError as fault:
                    problems.append(f"{stanza.name} {stanza.version}: {fault.brief}")
        return Found(kernels=tuple(kernels), problems=tuple(problems))

    def _kernel(self, stanza: Stanza, index: Mapping[str, Sequence[Stanza]], place: Place) -> Kernel:
        """Raises BadName, _Unresolved."""
        release = check_release(stanza.name.removeprefix(_HEADERS))
        common, abi = _common(stanza)
        if not release.startswith(f"{abi}-"):
            raise _Unresolved(f"needs {common}, which belongs to another kernel release")
        parts = [stanza, self._resolve(common, stanza, index), self._resolve(_kbuild(stanza), stanza, index)]
        return Kernel(
            target=Target(distro=place.distro, series=place.series, arch=stanza.arch),
            release=release,
            version=stanza.version,
            flavour=release.removeprefix(f"{abi}-"),
            toolchain=_toolchain(stanza),
            repository=place.repository,
            headers=tuple(part.package(place.mirror) for part in parts),
        )

    def _resolve(self, wanted: Dependency, by: Stanza, index: Mapping[str, Sequence[Stanza]]) -> Stanza:
        """Of the same source version if there is one, because that is what the kernel was built with."""
        fitting = [
            stanza
            for stanza in index.get(wanted.name, ())
            if stanza.arch in ("all", BUILD_ARCH) and self._satisfies(stanza.version, wanted)
        ]
        if not fitting:
            raise _Unresolved(f"needs {wanted} for {BUILD_ARCH}, which the index does not list")
        same = [stanza for stanza in fitting if stanza.source_version == by.source_version]
        return max(same or fitting, key=lambda stanza: cmp_to_key(self.compare)(stanza.version))

    def _satisfies(self, version: str, wanted: Dependency) -> bool:
        """Policy 7.1."""
        if not wanted.relation:
            return True
        order = self.compare(version, wanted.version)
        return {"<<": order < 0, "<=": order <= 0, "=": order == 0, ">=": order >= 0, ">>": order > 0}[wanted.relation]


def _is_kernel(stanza: Stanza) -> bool:
    return stanza.name.startswith(_HEADERS) and any(one.name.startswith(_KBUILD) for one in _dependencies(stanza))


def _dependencies(stanza: Stanza) -> Iterator[Dependency]:
    for alternatives in stanza.depends:
        yield from alternatives


def _kbuild(stanza: Stanza) -> Dependency:
    return next(one for one in _dependencies(stanza) if one.name.startswith(_KBUILD))


def _common(stanza: Stanza) -> tuple[Dependency, str]:
    """The package with what all flavours share, and the part of the release that names it (`6.1.0-56`)."""
    for one in _dependencies(stanza):
        if found := _COMMON.fullmatch(one.name):
            return one, found["abi"]
    raise _Unresolved("depends on no linux-headers-*-common")


def _toolchain(stanza: Stanza) -> str:
    for one in _dependencies(stanza):
        if found := _COMPILER.fullmatch(one.name):
            return found["toolchain"]
    raise _Unresolved(
        "depends on no compiler that is known", hint="expected gcc-N, gcc-N-for-host or linux-compiler-gcc-N-*"
    )
