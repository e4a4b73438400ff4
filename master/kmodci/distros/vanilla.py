"""Distributions without header packages: Flatcar, Bottlerocket, Talos, minikube, and kernels of one's own.

A kernel is the tarball of its source and its configuration, from which `workers/prepare-headers` makes what others have
packages for. They publish no Module.symvers. What the source makes without compiling all of the kernel has none either
(Documentation/kbuild/modules.rst), so nothing says which symbols the kernel exports; and where its configuration asks
modules for the CRCs of these (CONFIG_MODVERSIONS), none that it would load can be built.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from kmodci.errors import KmodciError
from kmodci.kernelconfig import compiler_of, parse_config
from kmodci.model import Evidence, Kernel, PackageKind, Target
from kmodci.release import check_release, version_key
from kmodci.repos.base import Listed

from .base import Found, Layout, Place, Tree

# the top folder of what prepare-headers gives back
_MADE = "linux"


class _Unusable(KmodciError):
    """No module can be built for a kernel, and why."""


class Vanilla:
    """See `distros.base.Distro`."""

    index_prefixes: tuple[str, ...] = ()

    def __init__(self, *, by_series: bool) -> None:
        self.by_series = by_series

    def index_arches(self, arches: Sequence[str]) -> tuple[str, ...]:
        """Source is for all."""
        return tuple(arches)

    def compare(self, version: str, other: str) -> int:
        """Numbers as numbers."""
        one, two = version_key(version), version_key(other)
        return (one > two) - (one < two)

    def kernels(self, listed: Iterable[Listed], place: Place) -> Found:
        """The parts of a kernel have one name."""
        groups: defaultdict[tuple[str, str, str], dict[PackageKind, Listed]] = defaultdict(dict)
        for each in listed:
            if each.arch in place.arches:
                groups[each.name, each.version, each.arch].setdefault(each.kind, each)
        kernels: list[Kernel] = []
        problems: list[str] = []
        for (name, _, arch), parts in groups.items():
            try:
                kernels.append(_kernel(check_release(name.removeprefix("linux-")), arch, parts, place))
            except KmodciError as fault:
                problems.append(f"{name}: {fault.brief}")
        return Found(kernels=tuple(kernels), problems=tuple(problems))

    def layout(self, kernel: Kernel) -> Layout:
        """One tree, whatever it was made of."""
        folder = f"linux-{kernel.release}"
        return Layout(trees=(Tree(folder=folder, roots=(_MADE,)),), own=folder)


def _kernel(release: str, arch: str, parts: Mapping[PackageKind, Listed], place: Place) -> Kernel:
    """Raises _Unusable."""
    source, config = parts.get(PackageKind.SOURCE), parts.get(PackageKind.CONFIG)
    if not source or not config or config.content is None:
        raise _Unusable("not the source and the configuration of a kernel")
    options = parse_config(config.content.decode("utf-8", "replace"))
    symvers = parts.get(PackageKind.SYMVERS)
    if options.get("CONFIG_MODULES") != "y":
        raise _Unusable("it takes no modules: CONFIG_MODULES is not set in its configuration")
    if options.get("CONFIG_MODVERSIONS") == "y" and not symvers:
        raise _Unusable("CONFIG_MODVERSIONS is set in its configuration, and there is no Module.symvers with the CRCs")
    compiler = compiler_of(options)
    if not compiler and not place.compiler:
        raise _Unusable("its configuration names no compiler, and no `compiler:` is given for its series")
    return Kernel(
        target=Target(distro=place.distro, series=place.series, arch=arch),
        release=release,
        version=source.version,
        flavour=release.partition("-")[2] or place.distro,
        toolchain=compiler or place.compiler,
        repository=place.repository,
        headers=tuple(part.package() for part in (source, config, symvers) if part),
        evidence=Evidence.CONFIG if compiler else Evidence.SERIES,
    )
