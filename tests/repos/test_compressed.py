import bz2
import gzip
import lzma
from collections.abc import Iterator

import pytest
import zstandard
from kmodci.errors import IndexDamaged
from kmodci.repos.compressed import decompressed

TEXT = b"".join(b"Package: p%d\n\n" % number for number in range(20_000))
COMPRESS = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress, ".zst": zstandard.compress, "": bytes}
PACKED = [suffix for suffix in COMPRESS if suffix]


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("size", [1009, 1 << 30])
def test_all_of_it_comes_out(suffix: str, size: int) -> None:
    chunks = cut(COMPRESS[suffix](TEXT), size)
    assert b"".join(decompressed(chunks, suffix, limit=len(TEXT))) == TEXT


@pytest.mark.parametrize("suffix", PACKED)
def test_several_in_a_row(suffix: str) -> None:
    data = COMPRESS[suffix](TEXT[:1000]) + COMPRESS[suffix](TEXT[1000:])
    assert b"".join(decompressed([data], suffix, limit=len(TEXT))) == TEXT


@pytest.mark.parametrize("suffix", PACKED)
def test_cut_off(suffix: str) -> None:
    with pytest.raises(IndexDamaged, match="cut off"):
        list(decompressed([COMPRESS[suffix](TEXT)[:-100]], suffix, limit=len(TEXT)))


@pytest.mark.parametrize("suffix", PACKED)
def test_not_compressed(suffix: str) -> None:
    with pytest.raises(IndexDamaged, match="cannot be unpacked"):
        list(decompressed([TEXT], suffix, limit=len(TEXT)))


@pytest.mark.parametrize("suffix", PACKED)
def test_a_bomb_is_stopped_at_the_limit(suffix: str) -> None:
    bomb = COMPRESS[suffix](bytes(24 * 1024 * 1024))
    passed = 0
    with pytest.raises(IndexDamaged, match="more than the 5000000 bytes"):
        for piece in decompressed([bomb], suffix, limit=5_000_000):
            passed += len(piece)
    assert passed <= 5_000_000


def test_a_bomb_of_zstd_is_unpacked_in_bounded_pieces() -> None:
    bomb = zstandard.compress(bytes(256 << 20))
    assert len(bomb) < 10_000
    largest = 0
    with pytest.raises(IndexDamaged, match="more than the 200000000 bytes"):
        for piece in decompressed([bomb], ".zst", limit=200_000_000):
            largest = max(largest, len(piece))
    assert largest < 48 << 20
