import hashlib
from collections.abc import Iterator

import pytest
from kmodci.digests import checked
from kmodci.errors import IndexDamaged

CHUNKS = [b"one", b"two", b""]
SHA256 = hashlib.sha256(b"onetwo").hexdigest()


def test_what_is_right_passes_unchanged() -> None:
    assert list(checked(CHUNKS, url="it", size=6, sha256=SHA256)) == CHUNKS


@pytest.mark.parametrize(
    ("size", "sha256", "said"),
    [(5, SHA256, "more than that"), (7, SHA256, "there are 6"), (6, "0" * 64, "SHA256")],
)
def test_what_is_wrong_is_told_at_the_end(size: int, sha256: str, said: str) -> None:
    with pytest.raises(IndexDamaged, match=f"it: .*{said}"):
        list(checked(CHUNKS, url="it", size=size, sha256=sha256))


def test_reading_stops_when_there_is_too_much() -> None:
    asked = 0

    def endless() -> Iterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"0123456789"

    with pytest.raises(IndexDamaged):
        list(checked(endless(), url="it", size=25, sha256=SHA256))
    assert asked == 3
