from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from benchmarks.aptrepo import Key, archive_key
from kmodci.errors import IndexDamaged, KmodciError
from kmodci.repos.signature import verified_release

TEXT = "Suite: bookworm\nDate: Sat, 21 Nov 2026 00:53:02 UTC\n"


def test_the_signed_text_is_returned() -> None:
    key = archive_key()
    assert verified_release(key.sign(TEXT), [key.keyring]) == TEXT


def test_any_keyring_may_hold_the_key() -> None:
    key, other = archive_key(), Key()
    assert verified_release(key.sign(TEXT), [other.keyring, key.keyring]) == TEXT


def test_what_stands_around_the_signed_text_is_left_out() -> None:
    key = archive_key()
    signed = b"Suite: sid\n\n" + key.sign(TEXT) + b"\nSuite: sid\n"
    try:
        assert verified_release(signed, [key.keyring]) == TEXT
    except IndexDamaged as refused:  # some versions of gpgv refuse it, which is as good
        assert "gpgv" in refused.brief or "signed" in refused.brief


def test_a_changed_text() -> None:
    key = archive_key()
    signed = key.sign(TEXT).replace(b"bookworm", b"bullseye")
    with pytest.raises(IndexDamaged, match="changed after it was signed"):
        verified_release(signed, [key.keyring])


def test_an_unknown_key() -> None:
    with pytest.raises(IndexDamaged, match="none of the keyrings"):
        verified_release(Key().sign(TEXT), [archive_key().keyring])


def test_an_expired_key() -> None:
    key = Key(lived=(datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1)))
    with pytest.raises(IndexDamaged, match="key has expired"):
        verified_release(key.sign(TEXT), [key.keyring])


def test_a_hash_that_can_be_forged() -> None:
    key = archive_key()
    with pytest.raises(IndexDamaged):
        verified_release(key.sign(TEXT, "--digest-algo", "SHA1"), [key.keyring])


@pytest.mark.parametrize("content", [b"", TEXT.encode(), b"<html>404</html>", bytes(range(256))])
def test_not_signed(content: bytes) -> None:
    with pytest.raises(IndexDamaged, match="not signed"):
        verified_release(content, [archive_key().keyring])


def test_a_missing_keyring_is_no_fault_of_the_index(tmp_path: Path) -> None:
    with pytest.raises(KmodciError, match="no keyring") as caught:
        verified_release(archive_key().sign(TEXT), [tmp_path / "none.gpg"])
    assert not isinstance(caught.value, IndexDamaged)
    with pytest.raises(KmodciError, match="no keyring"):
        verified_release(archive_key().sign(TEXT), [])


def test_without_gpgv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = archive_key()
    signed = key.sign(TEXT)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KmodciError, match="gpgv is not installed") as caught:
        verified_release(signed, [key.keyring])
    assert "apt-get install gpgv" in caught.value.hint
