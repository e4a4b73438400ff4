"""The distributions that are known, by the name that targets.yml uses."""

from collections.abc import Mapping

from kmodci.model import Kernel, Target

from .amazon import Amazon
from .arch import Arch
from .base import Distro, Found, Layout, Place, Tree
from .debian import Debian
from .oracle import Oracle
from .photon import Photon
from .redhat import Redhat
from .suse import Suse
from .ubuntu import Ubuntu
from .vanilla import Vanilla

DISTROS: Mapping[str, Distro] = {
    "almalinux": Redhat(),
    "amzn": Amazon(),
    "arch": Arch(),
    "centos": Redhat(),
    "debian": Debian(),
    "fedora": Redhat(),
    "ol": Oracle(),
    "opensuse": Suse(),
    "photon": Photon(),
    "rhel": Redhat(),
    "rocky": Redhat(),
    "sles": Suse(),
    "ubuntu": Ubuntu(),
    # variants and versions of these differ in their configuration, under the same release
    "bottlerocket": Vanilla(by_series=True),
    "minikube": Vanilla(by_series=True),
    "vanilla": Vanilla(by_series=True),
    "flatcar": Vanilla(by_series=False),
    "talos": Vanilla(by_series=False),
}


def layout_of(kernel: Kernel) -> Layout:
    """How the kernel's header packages lie together."""
    return DISTROS[kernel.target.distro].layout(kernel)


def index_place(target: Target) -> str:
    """What tells a target's kernels from those of others, to who knows their release: `debian/amd64`.

    With the series where the same release may be another kernel in another series: `ubuntu/noble/amd64`.
    """
    distro = DISTROS.get(target.distro)
    series = f"{target.series}/" if distro and distro.by_series else ""
    return f"{target.distro}/{series}{target.arch}"


__all__ = ["DISTROS", "Distro", "Found", "Layout", "Place", "Tree", "index_place", "layout_of"]
