"""Compressed indices: decompressed piece by piece, never more than the size that was announced."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import zstandard

from kmodci.errors import IndexDamaged

_PIECE = 2 * 1024 * 1024
# of zstd at a time: a block of 128 KiB can be written as 3 bytes (RFC 8878, 3.1.1.2), so this is 44 MB at most
_ZSTD_STEP = 1024


class _Decoder(Protocol):
    """What zlib's and lzma's decompressors are made to have in common here."""

    @property
    def done(self) -> bool: ...
    @property
    def rest(self) -> bytes: ...
    def feed(self, data: bytes) -> Iterator[bytes]: ...


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def done(self) -> bool:
        return self._inner.eof

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield self._inner.decompress(data, _PIECE)
            data = self._inner.unconsumed_tail


class _Bounded:
    """xz, bzip2: Python gives both the same shape."""

    def __init__(self, inner: lzma.LZMADecompressor | bz2.BZ2Decompressor) -> None:
        self._inner = inner

    @property
    def done(self) -> bool:
        return self._inner.eof

    @property
    def rest(self) -> bytes:
        return self._inner.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._inner.decompress(data, _PIECE)
        while not (self._inner.eof or self._inner.needs_input):
            yield self._inner.decompress(b"", _PIECE)


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()
        self.rest = b""

    @property
    def done(self) -> bool:
        return self._inner.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        made: list[bytes] = []
        length = 0
        for begin in range(0, len(data), _ZSTD_STEP):
            end = begin + _ZSTD_STEP
            made.append(self._inner.decompress(data[begin:end]))
            length += len(made[-1])
            if self._inner.eof:
                self.rest = self._inner.unused_data + data[end:]
                break
            if length >= _PIECE:
                yield b"".join(made)
                made, length = [], 0
        yield b"".join(made)


_DECODERS: Mapping[str, Callable[[], _Decoder]] = {
    ".zst": _Zstd,
    ".gz": _Gzip,
    ".xz": lambda: _Bounded(lzma.LZMADecompressor(lzma.FORMAT_XZ)),
    ".bz2": lambda: _Bounded(bz2.BZ2Decompressor()),
}

# Cheapest to read first: gzip costs a third of xz's CPU time, and saves nine tenths of the bytes of no compression.
SUFFIXES = (".zst", ".gz", ".xz", ".bz2", "")


def decompressed(chunks: Iterable[bytes], suffix: str, *, limit: int) -> Iterator[bytes]:
    """The content, in pieces of bounded size, at most `limit` bytes in all.

    suffix: one of SUFFIXES. Raises IndexDamaged if it is no such format, cut off, or longer than the limit.
    """
    length = 0
    try:
        for piece in _pieces(chunks, suffix):
            length += len(piece)
            if length > limit:
                raise IndexDamaged(f"the index unpacks to more than the {limit} bytes announced")
            yield piece
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError) as fault:
        raise IndexDamaged(f"the index cannot be unpacked: {fault}") from fault


def _pieces(chunks: Iterable[bytes], suffix: str) -> Iterator[bytes]:
    if not suffix:
        yield from chunks
        return
    decoder = None
    for chunk in chunks:
        data = chunk
        while data:
            decoder = decoder or _DECODERS[suffix]()
            yield from decoder.feed(data)
            # one file may be several compressed ones in a row (as pigz and `cat a.gz b.gz` make them)
            data, decoder = (decoder.rest, None) if decoder.done else (b"", decoder)
    if decoder is not None:
        raise IndexDamaged("the index is cut off")
