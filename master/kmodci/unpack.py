"""Archives others made: their members one by one, renamed and judged, and never onto a disk.

What a package or tarball holds is hostile until it has been through here: names that climb, links
that leave the tree, devices, and bombs are refused with the member's name.
"""

import bz2
import gzip
import io
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import zstandard
from typing_extensions import Buffer

from .errors import IndexDamaged
from .tarzst import Kind, Member

_READ = 1 << 16
# what the decompressors and tarfile raise for a file that is cut short or is not what it seems
DAMAGE = (tarfile.TarError, lzma.LZMAError, zstandard.ZstdError, zlib.error, OSError, EOFError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where an archive counts as a bomb."""

    members: int = 100_000
    size: int = 1 << 29
    """bytes, unpacked"""


class Readable(Protocol):
    """Any stream of bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


class _Limited(io.RawIOBase):
    def __init__(self, stream: Readable, limit: int, what: str) -> None:
        super().__init__()
        self._stream, self._left, self._what, self._limit = stream, limit, what, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._stream.read(min(len(view), self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise IndexDamaged(
                f"{self._what}: unpacks to more than {self._limit >> 20} MiB",
                hint="nothing we know is this large; it looks like a bomb",
            )
        view[: len(data)] = data
        return len(data)


def limited(stream: Readable, limit: int, what: str) -> io.BufferedReader:
    """The stream, which raises IndexDamaged instead of giving more than limit bytes, whatever a reader asks for."""
    return io.BufferedReader(_Limited(stream, limit, what), _READ)


def decompressed(content: bytes) -> Readable:
    """What a compressed file holds, told by its first bytes; anything else as it is."""
    stream = io.BytesIO(content)
    if content.startswith(b"\xfd7zXZ\0"):
        return lzma.open(stream)
    if content.startswith(b"\x1f\x8b"):
        return gzip.open(stream)
    if content.startswith(b"BZh"):
        return bz2.open(stream)
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    return stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A member of an archive of any format, as it says itself, before it is judged."""

    name: str
    kind: Kind | None
    """None for what is neither file, folder nor symbolic link"""
    executable: bool = False
    link: str | None = None
    """where a symbolic link points; of a file, the member that it is a hard link to, if it is one"""
    size: int = 0
    """bytes"""
    read: Callable[[], bytes] = bytes
    """a file's content; to be called before the next entry is asked for"""


def members(
    tar: tarfile.TarFile,
    *,
    what: str,
    place: Callable[[str], str],
    limits: Limits | None = None,
) -> Iterator[Member]:
    """The members of a tar, as `judged` lets them through."""
    return judged(map(partial(_entry, tar), tar), what=what, place=place, limits=limits)


def judged(
    entries: Iterable[Entry],
    *,
    what: str,
    place: Callable[[str], str],
    limits: Limits | None = None,
) -> Iterator[Member]:
    """The members of an archive, in its order, under the names that `place` gives them ("" leaves one out).

    what: the archive's name, for messages; place: from a clean relative name to another. Links are
    rewritten to fit the new places. Raises IndexDamaged for anything that could do harm.
    """
    limits = limits or Limits()
    judge = _Judge(what, place)
    size = 0
    try:
        for count, entry in enumerate(entries):
            size += entry.size
            if count >= limits.members or size > limits.size:
                raise IndexDamaged(
                    f"{what}: more than {limits.members} members or {limits.size >> 20} MiB unpacked",
                    hint="nothing we know is this large; it looks like a bomb",
                )
            if member := judge.member(entry):
                yield member
    except DAMAGE as damage:
        raise IndexDamaged(f"{what}: damaged archive: {damage}") from damage


def _entry(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Entry:
    def read() -> bytes:
        file = tar.extractfile(info)
        return file.read() if file else b""

    return Entry(
        name=info.name,
        kind=_kind(info),
        executable=bool(info.mode & 0o111),
        link=info.linkname if info.issym() or info.islnk() else None,
        size=info.size,
        read=read,
    )


def _kind(info: tarfile.TarInfo) -> Kind | None:
    if info.isdir():
        return Kind.FOLDER
    if info.issym():
        return Kind.LINK
    return Kind.FILE if info.isreg() or info.islnk() else None


class _Judge:
    """Remembers what it let through, because a link is only harmless together with what comes after it."""

    def __init__(self, what: str, place: Callable[[str], str]) -> None:
        self._what, self._place = what, place
        self._links: set[str] = set()
        self._folders: set[str] = set()
        self._files: dict[str, Member] = {}

    def member(self, entry: Entry) -> Member | None:
        original = self._clean(entry.name)
        name = self._place(original)
        if not name:
            return None
        for parent in _parents(name):
            if parent in self._links:
                raise self._refuse(entry.name, "is below a symbolic link")
            self._folders.add(parent)
        match entry.kind:
            case Kind.FOLDER:
                return Member(name=name, kind=Kind.FOLDER)
            case Kind.LINK:
                return self._link(entry.name, original, name, entry.link or "")
            case Kind.FILE if entry.link is not None:
                return self._hard_link(entry.name, name, entry.link)
            case Kind.FILE:
                member = Member(name=name, data=entry.read(), executable=entry.executable)
                self._files[name] = member
                return member
            case _:
                raise self._refuse(entry.name, "is neither file, folder nor link")

    def _clean(self, name: str) -> str:
        if name.startswith("/") or ".." in name.split("/"):
            raise self._refuse(name, "could climb out of the tree")
        if not name.isprintable():
            raise self._refuse(name, "has control characters in its name")
        return posixpath.normpath(name)

    def _link(self, called: str, original: str, name: str, link: str) -> Member | None:
        # two slashes at the start stay two (POSIX, 4.13 Pathname Resolution)
        goal = posixpath.normpath(posixpath.join("/", posixpath.dirname(original), link))
        climbs = posixpath.normpath(posixpath.join(posixpath.dirname(original), link)).startswith("..")
        target = "" if climbs or not goal.isprintable() else self._place(goal.lstrip("/"))
        if target == name:
            return None  # two places that became one
        if not target or name in self._folders:
            raise self._refuse(called, f"is a link out of the tree or over it, to {link[:80]!r}")
        self._links.add(name)
        return Member(name=name, kind=Kind.LINK, target=posixpath.relpath(target, posixpath.dirname(name) or "."))

    def _hard_link(self, called: str, name: str, link: str) -> Member:
        known = self._files.get(self._place(self._clean(link)))
        if known is None:
            raise self._refuse(called, f"is a hard link to {link[:80]!r}, which is not there")
        return Member(name=name, data=known.data, executable=known.executable)

    def _refuse(self, name: str, why: str) -> IndexDamaged:
        return IndexDamaged(f"{self._what}: member {name[:120]!r} {why}")


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
