"""Amazon Linux: a kernel is a `kernel-devel` package, or one whose name has the kernel's series in it as well.

    kernel-devel-5.10.219-208.866.amzn2.x86_64         -> 5.10.219-208.866.amzn2.x86_64
    kernel6.12-devel-6.12.58-82.121.amzn2023.x86_64    -> 6.12.58-82.121.amzn2023.x86_64

2 has further series in repositories of their own (`extras/kernel-5.10`), 2023 in the same one.
"""

import re

from kmodci.repos.base import Listed
from kmodci.repos.rpmversion import split

from .kerneldevel import KernelDevel


class Amazon(KernelDevel):
    """See `distros.base.Distro`."""

    index_prefixes = ("kernel*-devel",)
    packages = re.compile(r"kernel(?:[1-9][0-9]?\.[0-9]{1,2})?-devel")

    def flavour(self, package: Listed) -> str:
        """The series (`6.12`): each is followed for itself, and nodes of one are not moved to another."""
        _, version, _ = split(package.version)
        return ".".join(version.split(".")[:2])
