"""Published logs as text. Who follows one asks for it piece by piece, and it is unpacked once for all of these."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

import zstandard

from ...apiasked import LOG_CHUNK
from ...errors import StoreError

_PIECE = 1 << 20
# Bytes; a build is stopped long before the first by `limits.output`.
_LARGEST, _KEPT_EACH, _KEPT = 1 << 30, 24 << 20, 64 << 20


class Unpacked:
    """Those that were asked for last, as far as they are not too large. From any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def piece(self, key: Hashable, offset: int) -> tuple[bytes, int] | None:
        """What begins there, and the size of all; None where it is not kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
        return found[offset : offset + LOG_CHUNK], len(found)

    def unpack(self, key: Hashable, data: bytes, offset: int) -> tuple[bytes, int]:
        """The same of one that is not. data: compressed. Raises StoreError for what is damaged."""
        size, piece, whole = 0, bytearray(), bytearray()
        try:
            with zstandard.ZstdDecompressor().stream_reader(data) as stream:
                while (chunk := stream.read(_PIECE)) and size < _LARGEST:
                    if size + len(chunk) > offset and len(piece) < LOG_CHUNK:
                        piece += chunk[max(0, offset - size) :]
                    size += len(chunk)
                    if size <= _KEPT_EACH:
                        whole += chunk
        except zstandard.ZstdError as error:
            raise StoreError(f"a log is damaged: {error}") from error
        if size <= _KEPT_EACH:
            self._keep(key, bytes(whole))
        return bytes(piece[:LOG_CHUNK]), size

    def _keep(self, key: Hashable, whole: bytes) -> None:
        with self._lock:
            self._kept[key] = whole
            while sum(map(len, self._kept.values())) > _KEPT:
                self._kept.popitem(last=False)
