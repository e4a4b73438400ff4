"""A package's files, whatever its format, which the file's first bytes tell: its name is the mirror's to choose."""

import hashlib
from collections.abc import Callable, Iterator

from kmodci.errors import IndexDamaged
from kmodci.model import Package
from kmodci.tarzst import Member

from .base import Signed, Trust
from .deb import deb_members
from .pkg import MAGICS as PKG
from .pkg import check_pkg, pkg_members
from .rpmfile import check_rpm, rpm_members
from .rpmheader import MAGIC as RPM

Members = Callable[[str, bytes, Callable[[str], str]], Iterator[Member]]

_FORMATS: tuple[tuple[bytes, Members], ...] = (
    (b"!<arch>\n", deb_members),
    (RPM, rpm_members),
    *((magic, pkg_members) for magic in PKG),
)


def _nothing_beside(suffix: str) -> bytes:
    return b""


def check_package(
    package: Package, content: bytes, trust: Trust, beside: Callable[[str], bytes] = _nothing_beside
) -> None:
    """Raises IndexDamaged unless what has to vouch for the package does; its SHA256 is checked wherever it is known.

    beside: reads a file that lies beside the package and is called like it, with this at its end.
    """
    what = f"{package.name} {package.version}"
    if trust.signed is Signed.PACKAGES:
        if content.startswith(RPM):
            check_rpm(package, content, trust.keyrings)
        elif content.startswith(PKG):
            check_pkg(what, content, beside(".sig"), trust.keyrings)
        else:
            raise IndexDamaged(f"{what}: should be signed, and is a package of a format that has no signatures")
    elif trust.signed is Signed.INDEX and not package.sha256:
        raise IndexDamaged(
            f"{what}: the index has no SHA256 of it, so its signature vouches for nothing",
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
