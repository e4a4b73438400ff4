"""A package's files, whatever its format, which the file's first bytes tell: its name is the mirror's to choose."""

import hashlib
from collections.abc import Callable, Iterator

from kmodci.errors import IndexDamaged
from kmodci.model import Package
from kmodci.tarzst import Member

from .base import Signed, Trust
from .deb import deb_members
from .rpmfile import check_rpm, rpm_members
from .rpmheader import MAGIC as RPM

Members = Callable[[str, bytes, Callable[[str], str]], Iterator[Member]]

_FORMATS: tuple[tuple[bytes, Members], ...] = ((b"!<arch>\n", deb_members), (RPM, rpm_members))


def check_package(package: Package, content: bytes, trust: Trust) -> None:
    """Raises IndexDamaged unless what has to vouch for the package does; its SHA256 is checked wherever it is known."""
    if trust.signed is Signed.PACKAGES:
        if not content.startswith(RPM):
            raise IndexDamaged(f"{package.name} {package.version}: should be signed, and is no rpm package")
        check_rpm(package, content, trust.keyrings)
    elif trust.signed is Signed.INDEX and not package.sha256:
        raise IndexDamaged(
            f"{package.name} {package.version}: the index has no SHA256 of it, so its signature vouches for nothing",
            hint="say `signed: packages` in targets.yml, if they are",
        )


def package_members(package: Package, content: bytes, *, place: Callable[[str], str]) -> Iterator[Member]:
    """The package's files, links and folders under the names that `place` gives them (see `unpack.members`).

    content: the whole file, which is checked against the index before it is read. Raises IndexDamaged.
    """
    what = f"{package.name} {package.version}"
    if package.sha256 and hashlib.sha256(content).hexdigest() != package.sha256:
        raise IndexDamaged(
            f"{what}: what was downloaded is not what the index names ({len(content)} bytes, {package.size} expected)",
            hint="it will be fetched again; if this stays, the mirror is damaged",
        )
    for magic, members in _FORMATS:
        if content.startswith(magic):
            return members(what, content, place)
    raise IndexDamaged(f"{what}: not a package of a format that is known: it begins with {content[:8]!r}")
