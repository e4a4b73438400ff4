"""Packages as the index of an rpm repository lists them, for tests of what distributions make of their names."""

import hashlib

from kmodci.distros import Place
from kmodci.repos.base import Dependency, Listed, arch_of


def listed(name: str, *, provides: tuple[str, ...] = ()) -> Listed:
    """`kernel-devel-4.14.355-281.714.amzn2.x86_64` -> that package. provides: `kernel-devel-uname-r = 4.14...`"""
    head, _, machine = name.rpartition(".")
    package, version, release = head.rsplit("-", 2)
    return Listed(
        name=package,
        version=f"{version}-{release}",
        arch=arch_of(machine),
        url=f"https://mirror.invalid/Packages/{name}.rpm",
        size=1,
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        provides=tuple(_dependency(each) for each in provides),
    )


def place(distro: str, series: str, *arches: str, compiler: str = "gcc-12") -> Place:
    return Place(
        distro=distro,
        series=series,
        repository=f"{distro} {series}",
        arches=arches or ("amd64", "arm64"),
        compiler=compiler,
    )


def _dependency(text: str) -> Dependency:
    name, relation, version = text.split()
    return Dependency(name=name, relation=relation, version=version)
