"""The cpio archive that an rpm package's files are: the "new ASCII" format of cpio(5), and none of the older ones."""

import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kmodci.errors import IndexDamaged
from kmodci.tarzst import Kind
from kmodci.unpack import Entry, Readable

_HEADER = struct.Struct("6s104s")
_MAGICS = (b"070701", b"070702")
_FIELDS = re.compile(rb"[0-9A-Fa-f]{104}")
_LAST = "TRAILER!!!"
_LONGEST_NAME = 4096
_KINDS = {stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.FOLDER, stat.S_IFLNK: Kind.LINK}


@dataclass(frozen=True, slots=True)
class _Inode:
    """What the files that are hard links to each other have in common."""

    number: int
    device: tuple[int, int]


def cpio_entries(stream: Readable, *, limit: int) -> Iterator[Entry]:
    """The members, in their order. limit: bytes, of any one.

    Of files that are hard links to each other the last has the content; each is given as a file of its own, and those
    that came before when the content is known. Raises IndexDamaged.
    """
    waiting: dict[_Inode, list[Entry]] = {}
    known: dict[_Inode, bytes] = {}
    for entry, data, inode in _members(stream, limit):
        if inode is None:
            yield _with(entry, data)
        elif not data and inode not in known:
            waiting.setdefault(inode, []).append(entry)
        else:
            known[inode] = content = data or known[inode]
            yield from (_with(each, content) for each in (*waiting.pop(inode, ()), entry))
    for entries in waiting.values():
        yield from (_with(each, b"") for each in entries)


def _with(entry: Entry, data: bytes) -> Entry:
    return replace(entry, size=len(data), read=lambda: data)


def _members(stream: Readable, limit: int) -> Iterator[tuple[Entry, bytes, _Inode | None]]:
    """Each with its content, and with what it shares that with, if anything."""
    while True:
        magic, text = _HEADER.unpack(_exactly(stream, _HEADER.size))
        if magic not in _MAGICS or not _FIELDS.fullmatch(text):
            raise IndexDamaged(f"not a cpio archive of the format that rpm packages have: {magic!r}")
        fields = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
        number, mode, _, _, links, _, size, major, minor, _, _, length, _ = fields
        if length > _LONGEST_NAME or size > limit:
            raise IndexDamaged(f"a member with a name of {length} and a content of {size} bytes", hint="too large")
        name = _padded(stream, length, -(_HEADER.size + length) % 4).rstrip(b"\0").decode("utf-8", "surrogateescape")
        if name == _LAST:
            return
        data = _padded(stream, size, -size % 4)
        kind = _KINDS.get(stat.S_IFMT(mode))
        entry = Entry(
            name=name,
            kind=kind,
            executable=bool(mode & 0o111),
            link=data.decode("utf-8", "surrogateescape") if kind is Kind.LINK else None,
        )
        shared = kind is Kind.FILE and links > 1
        yield entry, data, _Inode(number, (major, minor)) if shared else None


def _padded(stream: Readable, length: int, padding: int) -> bytes:
    return _exactly(stream, length + padding)[:length]


def _exactly(stream: Readable, length: int) -> bytes:
    """A stream may give less than it is asked for. Raises IndexDamaged when it ends."""
    pieces = []
    left = length
    while left:
        piece = stream.read(left)
        if not piece:
            raise IndexDamaged("cut off")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
