"""The format of pacman's packages: a compressed tar that says in `.PKGINFO`, before any file, which package it is.

Sources: makepkg(8); alpm-package(7) and PKGINFO(5) of the ALPM project (https://alpm.archlinux.page).
"""

import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kmodci.errors import IndexDamaged
from kmodci.tarzst import Member
from kmodci.unpack import DAMAGE, Limits, decompressed, limited, members

from .signature import check_signature

MAGICS = (b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0")
"""zstd and xz, which Arch's packages have been compressed with (RFC 8878, 3.1.1; the .xz file format, 2.1.1.1)"""
_PKGINFO = ".PKGINFO"


def pkg_members(what: str, content: bytes, place: Callable[[str], str]) -> Iterator[Member]:
    """The package's files, links and folders under the names that `place` gives them (see `unpack.members`).

    what: `linux-headers 6.12.7.arch1-1`, for messages, and to be what the package says of itself: the signature of an
    old package is as good as that of a new one. content: the whole file. Raises IndexDamaged.
    """
    limits = Limits()
    try:
        plain = limited(decompressed(content), limits.size, what)
        with tarfile.open(fileobj=plain, mode="r|") as tar:
            found = members(tar, what=what, place=_beyond_the_package_itself(place), limits=limits)
            _check(what, next(found, None))
            yield from (member for member in found if member.name != _PKGINFO)
    except DAMAGE as damage:
        raise IndexDamaged(f"{what}: not a pacman package: {damage}") from damage


def check_pkg(what: str, content: bytes, signature: bytes, keyrings: Sequence[Path]) -> None:
    """Raises IndexDamaged unless a key of the keyrings signed the whole file, and as this very package.

    what: as above. signature: what lies beside the package (https://wiki.archlinux.org/title/Pacman/Package_signing).
    """
    try:
        check_signature(content, signature, keyrings)
    except IndexDamaged as damage:
        raise IndexDamaged(f"{what}: {damage.brief}", hint=damage.hint) from damage
    next(pkg_members(what, content, str), None)  # what it says of itself is judged before its first file


def _beyond_the_package_itself(place: Callable[[str], str]) -> Callable[[str], str]:
    """Names at the top that begin with a dot are about the package, and are not its files."""
    return lambda name: name if name == _PKGINFO else "" if name.startswith(".") else place(name)


def _check(what: str, first: Member | None) -> None:
    if first is None or first.name != _PKGINFO:
        raise IndexDamaged(f"{what}: not a pacman package: it does not begin with a {_PKGINFO}")
    pairs = (line.partition(" = ") for line in first.data.decode("utf-8", "replace").splitlines())
    fields = {name: value for name, sign, value in pairs if sign}
    says = f"{fields.get('pkgname')} {fields.get('pkgver')}"
    if says != what:
        raise IndexDamaged(
            f"{what}: the package says that it is {says[:120]!r}", hint="the mirror serves another package"
        )
