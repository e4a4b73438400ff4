"""Red Hat's family (RHEL, AlmaLinux, Rocky, CentOS Stream) and Fedora: all build Fedora's kernel.spec.

    kernel-devel-5.14.0-503.11.1.el9_5.x86_64       -> 5.14.0-503.11.1.el9_5.x86_64
    kernel-64k-devel-5.14.0-503.11.1.el9_5.aarch64  -> 5.14.0-503.11.1.el9_5.aarch64+64k
    kernel-rt-devel-5.14.0-503.11.1.el9_5.x86_64    -> 5.14.0-503.11.1.el9_5.x86_64+rt
    kernel-rt-devel-4.18.0-553.rt7.342.el8_10.x86_64 -> 4.18.0-553.rt7.342.el8_10.x86_64

kernel-ml and kernel-lt are ELRepo's, which name nothing in the release. kernel-devel-matched has no files.
"""

import re

from kmodci.repos.base import Listed

from .kerneldevel import KernelDevel

# until 9.2 the real-time kernel was a source package of its own, with its patches' number in the release
_OWN_RT = re.compile(r"\.rt[0-9]+\.")


class Redhat(KernelDevel):
    """See `distros.base.Distro`."""

    index_prefixes: tuple[str, ...] = (
        "kernel-devel",
        "kernel-16k-devel",
        "kernel-64k-devel",
        "kernel-rt-devel",
        "kernel-rt-64k-devel",
        "kernel-ml-devel",
        "kernel-lt-devel",
    )
    packages = re.compile(r"kernel(?:-(?P<flavour>16k|64k|rt|rt-64k|ml|lt))?-devel")

    def suffix(self, package: Listed) -> str:
        flavour = self.flavour(package)
        if flavour in ("default", "ml", "lt") or _OWN_RT.search(package.version):
            return ""
        return f"+{flavour}"
