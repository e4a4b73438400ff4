"""The parts of an rpm package: a lead, a header with signatures, a header that describes it, and its files.

As rpm's documentation has it (https://rpm-software-management.github.io/rpm/manual/format.html). What is read is
checked against the bounds that rpm itself has; only the few tags that are asked for are looked at.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from kmodci.errors import IndexDamaged

MAGIC = b"\xed\xab\xee\xdb"
_LEAD = 96
_HEADER = struct.Struct(">4s4xII")
_HEADER_MAGIC = b"\x8e\xad\xe8\x01"
_INDEX = struct.Struct(">IIII")
# lib/header.c, HEADER_TAGS_MAX; of the data rpm takes 256 MiB, and a package with 100,000 files has 20
_MOST_TAGS, _MOST_DATA = 0xFFFF, 64 << 20


class Tag(IntEnum):
    """Those that are read (include/rpm/rpmtag.h)."""

    NAME = 1000
    VERSION = 1001
    RELEASE = 1002
    EPOCH = 1003
    ARCH = 1022
    PAYLOADFORMAT = 1124
    PAYLOADDIGEST = 5092
    PAYLOADDIGESTALGO = 5093


class SignatureTag(IntEnum):
    """The same, of the header with signatures (RPMSIGTAG_*)."""

    DSA = 267
    RSA = 268
    OPENPGP = 278
    PGP = 1002
    GPG = 1005


class _Type(IntEnum):
    INT32 = 4
    STRING = 6
    BIN = 7
    STRING_ARRAY = 8


@dataclass(frozen=True, slots=True)
class Header:
    """Tags with values. All raise IndexDamaged for a value that is not of the type."""

    raw: bytes
    """as it is in the file: what a signature is over"""
    _index: Mapping[int, tuple[int, int, int]]
    """tag -> type, offset, count"""
    _data: bytes

    def text(self, tag: int) -> str:
        """Empty where there is none."""
        return next(iter(self._strings(tag, _Type.STRING)), "")

    def texts(self, tag: int) -> list[str]:
        return self._strings(tag, _Type.STRING_ARRAY)

    def number(self, tag: int, default: int) -> int:
        """The first of an array of numbers."""
        found = self._find(tag, _Type.INT32)
        return int(struct.unpack_from(">I", self._piece(found[0], 4))[0]) if found else default

    def blob(self, tag: int) -> bytes:
        """Empty where there is none."""
        found = self._find(tag, _Type.BIN)
        return self._piece(*found) if found else b""

    def _strings(self, tag: int, kind: _Type) -> list[str]:
        found = self._find(tag, kind)
        texts: list[str] = []
        at, count = found or (0, 0)
        for _ in range(count):
            end = self._data.find(b"\0", at)
            if end < 0:
                raise IndexDamaged(f"its header's tag {tag} has no end")
            texts.append(self._data[at:end].decode("utf-8", "replace"))
            at = end + 1
        return texts

    def _find(self, tag: int, kind: _Type) -> tuple[int, int] | None:
        """Offset and count."""
        if tag not in self._index:
            return None
        found, offset, count = self._index[tag]
        if found != kind or not 0 < count <= len(self._data):
            raise IndexDamaged(f"its header's tag {tag} is of type {found} with {count} values, not of {kind}")
        return offset, count

    def _piece(self, offset: int, length: int) -> bytes:
        if offset + length > len(self._data):
            raise IndexDamaged("its header is cut off")
        return self._data[offset : offset + length]


@dataclass(frozen=True, slots=True)
class Rpm:
    """A package, taken apart."""

    signatures: Header
    header: Header
    payload: bytes
    """its files, compressed"""


def parse_rpm(content: bytes) -> Rpm:
    """Raises IndexDamaged."""
    if not content.startswith(MAGIC):
        raise IndexDamaged(f"not an rpm package: it begins with {content[:8]!r}")
    signatures, end = _header(content, _LEAD)
    # the header with signatures is padded to 8 bytes, and nothing else is
    header, end = _header(content, end + -end % 8)
    return Rpm(signatures, header, content[end:])


def _header(content: bytes, begin: int) -> tuple[Header, int]:
    """A header, and where it ends."""
    if len(content) < begin + _HEADER.size:
        raise IndexDamaged("not an rpm package: it is cut off")
    magic, tags, size = _HEADER.unpack_from(content, begin)
    start = begin + _HEADER.size + tags * _INDEX.size
    if magic != _HEADER_MAGIC or tags > _MOST_TAGS or size > _MOST_DATA or start + size > len(content):
        raise IndexDamaged("not an rpm package: its header is not one, or is cut off")
    index: dict[int, tuple[int, int, int]] = {}
    for tag, kind, offset, count in _INDEX.iter_unpack(content[begin + _HEADER.size : start]):
        if tag in index:
            raise IndexDamaged(f"its header has the tag {tag} twice")
        index[tag] = (kind, offset, count)
    return Header(content[begin : start + size], index, content[start : start + size]), start + size
