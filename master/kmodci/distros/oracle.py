"""Oracle Linux: Red Hat's kernels, built again, and Oracle's own (UEK, the Unbreakable Enterprise Kernel).

    kernel-devel-5.14.0-570.12.1.0.1.el9_6.x86_64          -> 5.14.0-570.12.1.0.1.el9_6.x86_64
    kernel-uek-devel-6.12.0-105.51.5.el9uek.x86_64         -> 6.12.0-105.51.5.el9uek.x86_64
    kernel-uek64k-devel-6.12.0-204.92.4.3.1.el9uek.aarch64 -> 6.12.0-204.92.4.3.1.el9uek.aarch64.64k

UEK's variants follow a dot, where Red Hat's follow a plus sign (`KernelVer` in uek-rpm/*/kernel-uek.spec of
https://github.com/oracle/linux-uek).
"""

import re

from kmodci.repos.base import Listed

from .redhat import Redhat

_UEK = re.compile(r"kernel-uek(?P<variant>64k|emb3)?-devel")


class Oracle(Redhat):
    """See `distros.base.Distro`."""

    index_prefixes = (*Redhat.index_prefixes, "kernel-uek-devel", "kernel-uek64k-devel", "kernel-uekemb3-devel")
    packages = re.compile(f"{Redhat.packages.pattern}|{_UEK.pattern}")

    def flavour(self, package: Listed) -> str:
        found = _UEK.fullmatch(package.name)
        if found:
            return f"uek-{found['variant']}" if found["variant"] else "uek"
        return super().flavour(package)

    def suffix(self, package: Listed) -> str:
        found = _UEK.fullmatch(package.name)
        if found:
            return f".{found['variant']}" if found["variant"] else ""
        return super().suffix(package)
