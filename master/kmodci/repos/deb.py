"""The .deb format: what a binary package unpacks to (deb(5))."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator

from debian.arfile import ArError, ArFile

from ..errors import IndexDamaged
from ..model import Package
from ..tarzst import Member
from ..unpack import DAMAGE, Limits, decompressed, limited, members


def deb_members(package: Package, content: bytes, *, place: Callable[[str], str]) -> Iterator[Member]:
    """The package's files, links and folders under the names that `place` gives them (see `unpack.members`).

    content: the whole file, which is checked against the index before it is read. Raises IndexDamaged.
    """
    what = f"{package.name} {package.version}"
    if hashlib.sha256(content).hexdigest() != package.sha256:
        raise IndexDamaged(
            f"{what}: what was downloaded is not what the index names ({len(content)} bytes, {package.size} expected)",
            hint="it will be fetched again; if this stays, the mirror is damaged",
        )
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
