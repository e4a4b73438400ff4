"""A package's files, whatever its format, which the file's first bytes tell: its name is the mirror's to choose."""

import hashlib
from collections.abc import Callable, Iterator

from kmodci.errors import IndexDamaged
from kmodci.model import Package
from kmodci.tarzst import Member

from .deb import deb_members
from .pkg import MAGICS, pkg_members

Members = Callable[[str, bytes, Callable[[str], str]], Iterator[Member]]

_FORMATS: tuple[tuple[bytes, Members], ...] = (
    (b"!<arch>\n", deb_members),
    *((magic, pkg_members) for magic in MAGICS),
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
