"""Published logs, piece by piece."""

import pytest
import zstandard
from kmodci.apiasked import LOG_CHUNK
from kmodci.bot.api.unpacked import _KEPT, _KEPT_EACH, Unpacked
from kmodci.errors import StoreError

TEXT = b"".join(b"line %d\n" % number for number in range(100_000))


def packed(text: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(text)


def test_pieces_make_up_the_whole_whether_it_is_kept_or_not() -> None:
    for is_kept in (False, True):
        logs, found = Unpacked(), b""
        while len(found) < len(TEXT):
            piece = (logs.piece("a", len(found)) if is_kept else None) or logs.unpack("a", packed(TEXT), len(found))
            assert piece[1] == len(TEXT) and 0 < len(piece[0]) <= LOG_CHUNK
            found += piece[0]
        assert found == TEXT
        assert logs.piece("a", len(TEXT)) == (b"", len(TEXT))
    assert Unpacked().piece("a", 0) is None


def test_what_is_kept_is_bounded() -> None:
    logs, text = Unpacked(), bytes(_KEPT_EACH)
    data = packed(text)
    for number in range(4):
        assert logs.unpack(number, data, 0)[1] == len(text)
    assert [logs.piece(number, 0) is not None for number in range(4)] == [False] * (4 - _KEPT // _KEPT_EACH) + [
        True
    ] * (_KEPT // _KEPT_EACH)
    assert logs.unpack("large", packed(bytes(_KEPT_EACH + 1)), _KEPT_EACH) == (b"\0", _KEPT_EACH + 1)
    assert logs.piece("large", 0) is None and logs.piece(3, 0) is not None


def test_what_is_damaged_is_told_and_not_kept() -> None:
    logs = Unpacked()
    with pytest.raises(StoreError):
        logs.unpack("a", b"no log", 0)
    assert logs.piece("a", 0) is None
