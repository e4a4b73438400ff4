"""Kernels that come as one rpm package each: `kernel-devel` and its like, with a whole tree in usr/src/kernels."""

import re
from collections.abc import Iterable, Sequence

from kmodci.model import Evidence, Kernel, Target
from kmodci.release import check_release
from kmodci.repos.base import MACHINES, Listed
from kmodci.repos.rpmversion import compare, split

from .base import Found, Layout, Place, Tree, found, without_compiler

_UNAME = "kernel-devel-uname-r"


class KernelDevel:
    """See `distros.base.Distro`. A distribution says which packages, and what their kernels call themselves."""

    by_series = False
    index_prefixes: tuple[str, ...] = ("kernel-devel",)
    packages = re.compile(r"kernel(?:-(?P<flavour>[a-z0-9]+))?-devel")
    """by their whole name; a package without a flavour is of the distribution's default kernel"""

    def index_arches(self, arches: Sequence[str]) -> tuple[str, ...]:
        return tuple(arches)

    def compare(self, version: str, other: str) -> int:
        return compare(version, other)

    def kernels(self, listed: Iterable[Listed], place: Place) -> Found:
        if not place.compiler:
            return without_compiler()
        wanted = (
            package
            for package in dict.fromkeys(listed)
            if package.arch in place.arches and self.packages.fullmatch(package.name)
        )
        return found(wanted, lambda each: self._kernel(each, place))

    def layout(self, kernel: Kernel) -> Layout:
        folder = f"kernels/{kernel.release}"
        return Layout(trees=(Tree(folder=folder, roots=(f"usr/src/{folder}",)),), own=folder)

    def flavour(self, package: Listed) -> str:
        """`64k` of kernel-64k-devel; `default` where the name has none."""
        found = self.packages.fullmatch(package.name)
        return (found and found["flavour"]) or "default"

    def suffix(self, package: Listed) -> str:
        """What follows the package's version and architecture in the release, where the package does not say."""
        return ""

    def release(self, package: Listed) -> str:
        """What `uname -r` prints. Raises BadName.

        kernel.spec has had the packages say it since 2014, as something that they provide:

            kernel-devel-uname-r = 5.14.0-503.el9.x86_64+rt

        Versions of packages hold no `-`, so that a variant with one is written with `_` there: `+rt_64k` for what is
        `+rt-64k`. A package that does not say it is of the kernel that its own version and architecture name.
        """
        _, version, release = split(package.version)
        machine = MACHINES[package.arch]
        says = {each.version for each in package.provides if each.name == _UNAME}
        if len(says) != 1:
            return check_release(f"{version}-{release}.{machine}{self.suffix(package)}")
        head, plus, variant = says.pop().partition(f".{machine}+")
        return check_release(f"{head}{plus}{variant.replace('_', '-')}")

    def _kernel(self, package: Listed, place: Place) -> Kernel:
        """Raises BadName."""
        return Kernel(
            target=Target(distro=place.distro, series=place.series, arch=package.arch),
            release=self.release(package),
            version=package.version,
            flavour=self.flavour(package),
            toolchain=place.compiler,
            evidence=Evidence.SERIES,
            repository=place.repository,
            headers=(package.package(),),
        )
