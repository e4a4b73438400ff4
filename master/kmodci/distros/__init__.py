"""The distributions that are known, by the name that targets.yml uses."""

from collections.abc import Mapping

from .base import BUILD_ARCH, Distro, Found, Place
from .debian import Debian

DISTROS: Mapping[str, Distro] = {
    "debian": Debian(),
}

__all__ = ["BUILD_ARCH", "DISTROS", "Distro", "Found", "Place"]
