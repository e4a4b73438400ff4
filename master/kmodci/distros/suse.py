"""SUSE: a kernel is a `kernel-<flavour>-devel` package of an architecture, with the sources that flavours share.

    kernel-default-devel 5.14.21-150400.24.46.1, kernel-devel 5.14.21-150400.24.46.1 -> 5.14.21-150400.24.46-default
    kernel-azure-devel 4.12.14-16.73.2, kernel-devel-azure 4.12.14-16.73.1           -> 4.12.14-16.73-azure

The build service counts how often it built a package: the last number of its release. Kernel releases are without that
count, and a kernel and its sources are counted each for itself. The package of the sources has the name of a branch
(`-azure`, `-rt`) if they are of one. All of it is in rpm/kernel-spec-macros (`source_rel`) and
rpm/kernel-binary.spec.in (`variant`) of https://github.com/openSUSE/kernel-source.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cmp_to_key

from kmodci.model import Kernel
from kmodci.release import check_release
from kmodci.repos.base import MACHINES, Listed
from kmodci.repos.rpmversion import split

from .base import Found, Layout, Place, Tree
from .kerneldevel import KernelDevel

_SOURCES = re.compile(r"kernel-devel(?P<branch>-[a-z0-9_]+)?")
# the last number; in kernels of the day the one before the commit (`2.1.g1234567`)
_COUNT = re.compile(r"\.[0-9]+(?=$|\.[^.]*[^.0-9][^.]*$)")
# as folders are called: what Linux calls an architecture, but for x86
_ARCHES = {**MACHINES, "arm64": "arm64"}


class Suse(KernelDevel):
    """See `distros.base.Distro`."""

    # not kernel-default and the like: they provide every symbol of the kernel by name, which is megabytes of index each
    index_prefixes = ("kernel-devel", "kernel-*-devel")
    packages = re.compile(r"kernel-(?P<flavour>[a-z0-9_]+)-devel")

    def kernels(self, listed: Iterable[Listed], place: Place) -> Found:
        packages = tuple(listed)
        found = super().kernels(packages, place)
        sources = [each for each in packages if each.arch == "all" and _SOURCES.fullmatch(each.name)]
        sources.sort(key=lambda each: (len(_branch(each.name)), cmp_to_key(self.compare)(each.version)))
        kernels: dict[str, Kernel] = {}
        problems = list(found.problems)
        # the newest last: of a package that was built again there may be both, and they are one kernel
        for kernel in sorted(found.kernels, key=lambda kernel: cmp_to_key(self.compare)(kernel.version)):
            fitting = [each for each in sources if _is_of(each, kernel)]
            if fitting:
                kernels[str(kernel)] = replace(kernel, headers=(*kernel.headers, fitting[-1].package()))
            else:
                needs = f"kernel-devel {_without_count(kernel.version)}"
                problems.append(
                    f"{kernel.headers[0].name} {kernel.version}: needs {needs}, which is not listed with it"
                )
        return Found(kernels=tuple(kernels.values()), problems=tuple(problems))

    def layout(self, kernel: Kernel) -> Layout:
        """A flavour's tree refers to that of the sources by `../../../`, so both have to lie as on a SUSE host."""
        own_package, sources_package = kernel.headers
        sources = f"linux-{_without_count(own_package.version)}{_branch(sources_package.name)}"
        own = f"{sources}-obj/{_ARCHES[kernel.target.arch]}/{kernel.flavour}"
        trees = tuple(Tree(folder=folder, roots=(f"usr/src/{folder}",)) for folder in (own, sources))
        return Layout(trees=trees, own=own, source=sources)

    def release(self, package: Listed) -> str:
        return check_release(f"{_without_count(package.version)}-{self.flavour(package)}")


def _is_of(sources: Listed, kernel: Kernel) -> bool:
    """Also those of the branch `-rt` for the flavour `rt_debug`."""
    same = _without_count(sources.version) == _without_count(kernel.version)
    return same and f"-{kernel.flavour}".startswith(_branch(sources.name))


def _without_count(version: str) -> str:
    """A package's version without the count of its builds."""
    _, upstream, release = split(version)
    return f"{upstream}-{_COUNT.sub('', release, count=1)}"


def _branch(sources: str) -> str:
    """`kernel-devel-azure` -> `-azure`; mostly empty."""
    return sources.removeprefix("kernel-devel")
