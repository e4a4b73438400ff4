"""The .deb format: what a binary package unpacks to (deb(5))."""

import io
import tarfile
from collections.abc import Callable, Iterator

from debian.arfile import ArError, ArFile

from ..errors import IndexDamaged
from ..tarzst import Member
from ..unpack import DAMAGE, Limits, decompressed, limited, members


def deb_members(what: str, content: bytes, place: Callable[[str], str]) -> Iterator[Member]:
    """The package's files, links and folders under the names that `place` gives them (see `unpack.members`).

    what: the package, for messages; content: the whole file. Raises IndexDamaged.
    """
    limits = Limits()
    try:
        plain = limited(decompressed(_data(content)), limits.size, what)
        with tarfile.open(fileobj=plain, mode="r|") as tar:
            yield from members(tar, what=what, place=place, limits=limits)
    except (ArError, *DAMAGE) as damage:
        raise IndexDamaged(f"{what}: not a Debian package: {damage}") from damage


def _data(content: bytes) -> bytes:
    """The data part, compressed. Raises ArError."""
    for part in ArFile(fileobj=io.BytesIO(content)).getmembers():
        if part.name.startswith("data.tar"):
            data: bytes = part.read()
            return data
    raise ArError("it has no data.tar")
