"""The .deb format: what a binary package unpacks to (deb(5))."""

import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import zstandard
from debian.arfile import ArError, ArFile

from ..errors import IndexDamaged
from ..model import Package
from ..tarzst import Member
from ..unpack import Limits, Readable, limited, members


def deb_members(package: Package, path: Path, *, place: Callable[[str], str]) -> Iterator[Member]:
    """The package's files, links and folders under the names that `place` gives them (see `unpack.members`).

    The file is checked against the index once more, and only what was checked is read. Raises IndexDamaged.
    """
    content = path.read_bytes()
    what = f"{package.name} {package.version}"
    if hashlib.sha256(content).hexdigest() != package.sha256:
        raise IndexDamaged(
            f"{what}: {path.name} is not what the index names ({len(content)} bytes, {package.size} expected)",
            hint="delete it, it will be fetched again",
        )
    limits = Limits()
    try:
        with tarfile.open(fileobj=limited(_data(content), limits.size, what), mode="r|") as tar:
            yield from members(tar, what=what, place=place, limits=limits)
    except (ArError, tarfile.TarError, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError) as damage:
        raise IndexDamaged(f"{what}: not a Debian package: {damage}") from damage


def _data(content: bytes) -> Readable:
    """The uncompressed data part. Raises ArError."""
    for part in ArFile(fileobj=io.BytesIO(content)).getmembers():
        stream = io.BytesIO(part.read()) if part.name.startswith("data.tar") else None
        match part.name, stream:
            case "data.tar.xz" | "data.tar.lzma", io.BytesIO():
                return lzma.open(stream)
            case "data.tar.gz", io.BytesIO():
                return gzip.open(stream)
            case "data.tar.zst", io.BytesIO():
                return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
            case "data.tar", io.BytesIO():
                return stream
    raise ArError("it has no data.tar that we can read")
