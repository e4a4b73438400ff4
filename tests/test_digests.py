import hashlib
from collections.abc import Iterator

import pytest
from kmodci.digests import checked
from kmodci.errors import IndexDamaged

CHUNKS = [b"one", b"two", b""]
SHA256 = hashlib.sha256(b"onetwo").hexdigest()


def test_what_is_right_passes_unchanged() -> None:
    assert list(checked(CHUNKS, url="it", size=6, digest=SHA256)) == CHUNKS


@pytest.mark.parametrize(
    ("size", "digest", "said"),
    [(5, SHA256, "more than that"), (7, SHA256, "there are 6"), (6, "0" * 64, "SHA256")],
)
def test_what_is_wrong_is_told_at_the_end(size: int, digest: str, said: str) -> None:
    with pytest.raises(IndexDamaged, match=f"it: .*{said}"):
        list(checked(CHUNKS, url="it", size=size, digest=digest))


def test_reading_stops_when_there_is_too_much() -> None:
    asked = 0

    def endless() -> Iterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"0123456789"

    with pytest.raises(IndexDamaged):
        list(checked(endless(), url="it", size=25, digest=SHA256))
    assert asked == 3


def test_what_is_not_known_is_not_judged() -> None:
    assert list(checked(CHUNKS, url="it", digest=SHA256)) == CHUNKS
    assert list(checked(CHUNKS, url="it", size=6)) == CHUNKS
    with pytest.raises(IndexDamaged, match="SHA256"):
        list(checked(CHUNKS, url="it", digest="0" * 64))


def test_another_algorithm() -> None:
    digest = hashlib.sha512(b"onetwo").hexdigest()
    assert list(checked(CHUNKS, url="it", size=6, digest=digest, algorithm="sha512")) == CHUNKS
    with pytest.raises(IndexDamaged, match="it: SHA512"):
        list(checked(CHUNKS, url="it", size=6, digest="0" * 128, algorithm="sha512"))
