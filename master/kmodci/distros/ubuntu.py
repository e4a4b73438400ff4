"""Ubuntu: a kernel is a `linux-headers-<release>` package that depends on the headers which its flavours share.

    linux-headers-6.11.0-17-generic 6.11.0-17.17~24.04.2 -> linux-hwe-6.11-headers-6.11.0-17
    linux-headers-6.8.0-31-generic-64k 6.8.0-31.31 -> linux-headers-6.8.0-31

(control.d/flavour-control.stub of the kernels' packaging.) The package's name is what `uname -r` prints; the source,
and so the folder of the archive's pool, says nothing of the flavour: kernels of linux-hwe-6.11 call themselves
`-generic`. What `uname -v` prints after the `#`, the number of the upload, is the end of the version (`17~24.04.2`).

No package names the compiler: the unpacked headers do, and before that the series' own is assumed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from kmodci.model import Evidence, Kernel, Target
from kmodci.release import check_release
from kmodci.repos.base import Dependency, Listed

from .base import Found, Layout, Place, Tree, found
from .debs import Unresolved, by_name, compare, dependencies, resolve

_KERNEL = re.compile(r"linux-headers-(?P<release>[0-9].*)")
# the source's name stands in it, but for that of `linux` itself
_SHARED = re.compile(r"(?P<source>linux(?:-[a-z].*)?)-headers-(?P<abi>[0-9]+(?:\.[0-9]+)+-[0-9]+[a-z0-9]*)")
_COMPILER = re.compile(r"gcc-[0-9]+")


class Ubuntu:
    """See `distros.base.Distro`."""

    by_series = True
    index_prefixes = ("linux-*headers-",)

    def index_arches(self, arches: Sequence[str]) -> tuple[str, ...]:
        """Programs are in the packages themselves, for the kernel's architecture; an index has those for all, too."""
        return tuple(arches)

    def compare(self, version: str, other: str) -> int:
        """deb-version(7)."""
        return compare(version, other)

    def kernels(self, listed: Iterable[Listed], place: Place) -> Found:
        unique = tuple(dict.fromkeys(listed))
        index = by_name(unique)
        wanted = (
            package
            for package in unique
            if package.arch in place.arches and _KERNEL.fullmatch(package.name) and not _SHARED.fullmatch(package.name)
        )
        return found(wanted, lambda each: _kernel(each, index, place))

    def layout(self, kernel: Kernel) -> Layout:
        own, shared = (package.name for package in kernel.headers)
        return Layout(
            trees=(_tree(own, f"usr/src/{own}", *_rust(kernel.release, shared)), _tree(shared, f"usr/src/{shared}")),
            own=own,
        )


def _tree(folder: str, *roots: str) -> Tree:
    return Tree(folder=folder, roots=roots)


def _rust(release: str, shared: str) -> Iterable[str]:
    """Where the headers' link `rust` leads: into a package that a build in C has no need of.

    (And with HWE kernels to a folder that no package has: `linux-hwe-6.17-lib-rust-6.17.0-14-generic`.) As these count
    as the same place as the headers themselves, the link leads to itself, and is left out.
    """
    found = _SHARED.fullmatch(shared)
    sources = dict.fromkeys(["linux", *([found["source"]] if found else [])])
    return [f"usr/src/{source}-lib-rust-{release}" for source in sources]


def _kernel(package: Listed, index: Mapping[str, Sequence[Listed]], place: Place) -> Kernel:
    """Raises BadName, Unresolved."""
    release = check_release(package.name.removeprefix("linux-headers-"))
    shared, abi = _shared(package, release, index)
    toolchain = next((each.name for each in dependencies(package) if _COMPILER.fullmatch(each.name)), "")
    if not (toolchain or place.compiler):
        raise Unresolved("names no compiler", hint="say `compiler:` for the series in targets.yml")
    return Kernel(
        target=Target(distro=place.distro, series=place.series, arch=package.arch),
        release=release,
        version=package.version,
        flavour=release.removeprefix(f"{abi}-"),
        toolchain=toolchain or place.compiler,
        repository=place.repository,
        headers=(package.package(), shared.package()),
        evidence=Evidence.PACKAGE if toolchain else Evidence.SERIES,
    )


def _shared(package: Listed, release: str, index: Mapping[str, Sequence[Listed]]) -> tuple[Listed, str]:
    """The package with what all flavours share, and the part of the release that names it (`6.11.0-17`)."""
    if not package.depends:
        return _shared_by_name(package, release, index)
    for one in dependencies(package):
        if found := _SHARED.fullmatch(one.name):
            if not release.startswith(f"{found['abi']}-"):
                raise Unresolved(f"needs {one}, which belongs to another kernel release")
            return resolve(one, package, index, package.arch), found["abi"]
    raise Unresolved("depends on no linux-*headers-* that flavours share")


def _shared_by_name(package: Listed, release: str, index: Mapping[str, Sequence[Listed]]) -> tuple[Listed, str]:
    """For a list that does not say what a package depends on: of the same upload."""
    fitting = [
        (Dependency(name=name, relation="=", version=package.version), found["abi"])
        for name, packages in index.items()
        if (found := _SHARED.fullmatch(name)) and release.startswith(f"{found['abi']}-")
        if any(each.version == package.version for each in packages)
    ]
    if len(fitting) != 1:
        names = ", ".join(sorted(wanted.name for wanted, _ in fitting)) or "none"
        raise Unresolved(f"which linux-*headers-* package it shares with other flavours cannot be told: {names}")
    [(wanted, abi)] = fitting
    return resolve(wanted, package, index, package.arch), abi
