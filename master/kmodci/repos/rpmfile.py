"""The .rpm format: what a package unpacks to, and whether its vendor signed it."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kmodci.errors import IndexDamaged
from kmodci.model import Package
from kmodci.release import BadName
from kmodci.tarzst import Member
from kmodci.unpack import Entry, Limits, decompressed, judged, limited

from .base import arch_of
from .cpio import cpio_entries
from .rpmheader import Rpm, SignatureTag, Tag, parse_rpm
from .rpmpackage import evr
from .signature import check_signature

# hash algorithms of OpenPGP (RFC 4880, section 9.4), as hashlib names those that cannot be forged
_HASHES = {8: "sha256", 9: "sha384", 10: "sha512"}


def rpm_members(what: str, content: bytes, place: Callable[[str], str]) -> Iterator[Member]:
    """The package's files, links and folders under the names that `place` gives them (see `unpack.judged`).

    what: the package, for messages; content: the whole file. Raises IndexDamaged.
    """
    limits = Limits()
    return judged(_entries(what, content, limits), what=what, place=place, limits=limits)


def _entries(what: str, content: bytes, limits: Limits) -> Iterator[Entry]:
    try:
        rpm = parse_rpm(content)
        if (form := rpm.header.text(Tag.PAYLOADFORMAT)) not in ("", "cpio"):
            raise IndexDamaged(f"its files are packed as {form[:20]!r}")
        plain = limited(decompressed(rpm.payload), limits.size, "its cpio archive")
        yield from cpio_entries(plain, limit=limits.size)
    except IndexDamaged as damage:
        raise IndexDamaged(f"{what}: {damage.brief}", hint=damage.hint) from damage


def check_rpm(package: Package, content: bytes, keyrings: Sequence[Path]) -> None:
    """Raises IndexDamaged unless a key of the keyrings signed all of the file, and as this very package.

    Otherwise a mirror could serve another package of the vendor's under its name, an old one with a hole in it.
    """
    try:
        rpm = parse_rpm(content)
        _check_identity(rpm, package)
        if not _has_good_header(rpm, keyrings):
            _check_whole(rpm, keyrings)
    except (IndexDamaged, BadName) as damage:
        raise IndexDamaged(f"{package.name} {package.version}: {damage.brief}", hint=damage.hint) from damage


def _check_identity(rpm: Rpm, package: Package) -> None:
    header = rpm.header
    version = evr(str(header.number(Tag.EPOCH, 0)), header.text(Tag.VERSION), header.text(Tag.RELEASE))
    found = (header.text(Tag.NAME), version, arch_of(header.text(Tag.ARCH)))
    if found != (package.name, package.version, package.arch):
        raise IndexDamaged(f"the file is another package: {' '.join(found)}")


def _has_good_header(rpm: Rpm, keyrings: Sequence[Path]) -> bool:
    """Since rpm 4.14: a signature over the header, which has a digest of the files. False where it is not signed so."""
    header = rpm.header
    algorithm = _HASHES.get(header.number(Tag.PAYLOADDIGESTALGO, 8))
    digests = header.texts(Tag.PAYLOADDIGEST)
    signatures = _header_signatures(rpm)
    if not (signatures and digests and algorithm):
        return False
    _check_any(header.raw, signatures, keyrings)
    if hashlib.new(algorithm, rpm.payload).hexdigest() != digests[0]:
        raise IndexDamaged("its files are not those that were signed for")
    return True


def _check_whole(rpm: Rpm, keyrings: Sequence[Path]) -> None:
    """Before: a signature over the header and the files as one."""
    found = [rpm.signatures.blob(SignatureTag.PGP), rpm.signatures.blob(SignatureTag.GPG)]
    signatures = [each for each in found if each]
    if not signatures:
        raise IndexDamaged(
            "the package is not signed",
            hint="if its vendor signs no packages, say `signed: no` with a `reason:` in targets.yml",
        )
    _check_any(rpm.header.raw + rpm.payload, signatures, keyrings)


def _header_signatures(rpm: Rpm) -> list[bytes]:
    """rpm 6 has any number of them, in base64."""
    try:
        found = [base64.b64decode(each, validate=True) for each in rpm.signatures.texts(SignatureTag.OPENPGP)]
    except binascii.Error as fault:
        raise IndexDamaged(f"its signature cannot be read: {fault}") from fault
    found += [rpm.signatures.blob(SignatureTag.RSA), rpm.signatures.blob(SignatureTag.DSA)]
    return [each for each in dict.fromkeys(found) if each]


def _check_any(content: bytes, signatures: Sequence[bytes], keyrings: Sequence[Path]) -> None:
    """One good signature is enough: others may be of kinds and keys that are not known here."""
    first: IndexDamaged | None = None
    for signature in signatures:
        try:
            check_signature(content, signature, keyrings)
            return
        except IndexDamaged as fault:
            first = first or fault
    raise first or IndexDamaged("the package is not signed")
