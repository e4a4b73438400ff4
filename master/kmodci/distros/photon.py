"""Photon OS: a kernel is a `linux-devel` or `linux-<flavour>-devel` package, as SPECS/linux/*.spec of
https://github.com/vmware/photon make them.

    linux-devel-6.1.159-10.ph5.x86_64     -> 6.1.159-10.ph5
    linux-esx-devel-6.1.159-7.ph5.x86_64  -> 6.1.159-7.ph5-esx
"""

import re

from kmodci.model import Kernel
from kmodci.release import check_release
from kmodci.repos.base import Listed
from kmodci.repos.rpmversion import split

from .base import Layout, Tree
from .kerneldevel import KernelDevel


class Photon(KernelDevel):
    """See `distros.base.Distro`."""

    index_prefixes = ("linux-devel", "linux-*-devel")
    packages = re.compile(r"linux(?:-(?P<flavour>[a-z0-9]+))?-devel")

    def layout(self, kernel: Kernel) -> Layout:
        """Folders are called in two ways: some flavours have their name in them twice."""
        folder = f"linux-headers-{kernel.release}"
        name = kernel.headers[0].name.removesuffix("-devel")
        roots = dict.fromkeys((f"usr/src/{folder}", f"usr/src/{name}-headers-{kernel.release}"))
        return Layout(trees=(Tree(folder=folder, roots=tuple(roots)),), own=folder)

    def release(self, package: Listed) -> str:
        """Without an architecture."""
        _, version, release = split(package.version)
        return check_release(f"{version}-{release}{self.suffix(package)}")

    def suffix(self, package: Listed) -> str:
        found = self.packages.fullmatch(package.name)
        return f"-{found['flavour']}" if found and found["flavour"] else ""
