"""Debian's kernels of one day, recorded (tests/data/kernels/ORIGIN)."""

import hashlib
from pathlib import Path

from kmodci.model import Kernel, Package, Target

_LIST = Path(__file__).parent.parent / "data" / "kernels" / "debian.tsv"


def by_repository() -> dict[str, list[Kernel]]:
    """What each repository lists. The header packages are made up: the list has none."""
    found: dict[str, list[Kernel]] = {}
    for line in _LIST.read_text().splitlines():
        suite, target, release, version, flavour, toolchain = line.split("\t")
        kernel = Kernel(
            target=Target.parse(target),
            release=release,
            version=version,
            flavour=flavour,
            toolchain=toolchain,
            repository=f"{suite} main",
            headers=(headers(release, version),),
        )
        found.setdefault(kernel.repository, []).append(kernel)
    return found


def kernels() -> list[Kernel]:
    """All of them, each once."""
    return list({str(kernel): kernel for listed in by_repository().values() for kernel in listed}.values())


def headers(release: str, version: str) -> Package:
    name = f"linux-headers-{release}"
    digest = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    url = f"http://mirror.invalid/pool/{name}_{version}.deb"
    return Package(name=name, version=version, arch="amd64", url=url, size=1, sha256=digest)
