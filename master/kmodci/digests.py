"""What was read is judged by the size and the hash that an index gives for it, while it is being read."""

import hashlib
from collections.abc import Iterable, Iterator

from .errors import IndexDamaged

_RACE = "a mirror in the middle of its update does this; if it stays, the mirror or a proxy is damaged"


def checked(
    chunks: Iterable[bytes], *, url: str, size: int = 0, digest: str = "", algorithm: str = "sha256"
) -> Iterator[bytes]:
    """Passes the chunks on, and judges them at the end: IndexDamaged unless size (bytes) and hash (hex) agree.

    What was made of the chunks may be used only after the last one has been asked for. Size 0 and an empty digest are
    not known, and not judged. algorithm: of the hash, as hashlib names it, where it is another than SHA-256.
    """
    found, length = hashlib.new(algorithm, usedforsecurity=False), 0
    for chunk in chunks:
        found.update(chunk)
        length += len(chunk)
        if size and length > size:
            break
        yield chunk
    if size and length != size:
        more = "more than that" if length > size else f"{length}"
        raise IndexDamaged(f"{url}: {size} bytes are listed, but there are {more}", hint=_RACE)
    if digest and found.hexdigest() != digest:
        name = algorithm.upper()
        raise IndexDamaged(f"{url}: {name} {found.hexdigest()}, but the index says {digest}", hint=_RACE)
