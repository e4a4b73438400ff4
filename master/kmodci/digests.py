"""What was read is judged by the size and the hash that a signed index gives for it, while it is being read."""

import hashlib
from collections.abc import Iterable, Iterator

from .errors import IndexDamaged

_RACE = "a mirror in the middle of its update does this; if it stays, the mirror or a proxy is damaged"


def checked(chunks: Iterable[bytes], *, url: str, size: int, sha256: str) -> Iterator[bytes]:
    """Passes the chunks on, and judges them at the end: IndexDamaged unless size (bytes) and hash (hex) agree.

    What was made of the chunks may be used only after the last one has been asked for.
    """
    digest, length = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        length += len(chunk)
        if length > size:
            break
        yield chunk
    if length != size:
        more = "more than that" if length > size else f"{length}"
        raise IndexDamaged(f"{url}: {size} bytes are signed for, but there are {more}", hint=_RACE)
    if digest.hexdigest() != sha256:
        raise IndexDamaged(f"{url}: SHA256 {digest.hexdigest()}, but the signed index says {sha256}", hint=_RACE)
