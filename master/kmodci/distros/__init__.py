"""The distributions that are known, by the name that targets.yml uses."""

from collections.abc import Mapping

from kmodci.model import Kernel

from .base import BUILD_ARCH, Distro, Found, Layout, Place, Tree
from .debian import Debian

DISTROS: Mapping[str, Distro] = {
    "debian": Debian(),
}


def layout_of(kernel: Kernel) -> Layout:
    """How the kernel's header packages lie together."""
    return DISTROS[kernel.target.distro].layout(kernel)


__all__ = ["BUILD_ARCH", "DISTROS", "Distro", "Found", "Layout", "Place", "Tree", "layout_of"]
