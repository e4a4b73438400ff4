from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from benchmarks.aptrepo import Key, archive_key
from kmodci.errors import IndexDamaged, KmodciError
from kmodci.repos.signature import check_signature, dearmoured, verified_release

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


@pytest.mark.parametrize("options", [(), ("--no-armor",)])
def test_a_detached_signature(options: tuple[str, ...]) -> None:
    key = archive_key()
    signature = key.sign_detached(TEXT.encode(), *options)
    check_signature(TEXT.encode(), signature, [key.keyring])
    with pytest.raises(IndexDamaged, match="changed after it was signed"):
        check_signature(TEXT.encode() + b" ", signature, [key.keyring])
    other = Key()
    with pytest.raises(IndexDamaged, match="none of the keyrings"):
        check_signature(TEXT.encode(), signature, [other.keyring])


@pytest.mark.parametrize("signature", [b"", b"<html>404</html>", bytes(200)])
def test_what_is_no_detached_signature(signature: bytes) -> None:
    with pytest.raises(IndexDamaged):
        check_signature(TEXT.encode(), signature, [archive_key().keyring])


def test_a_detached_signature_with_a_hash_that_can_be_forged() -> None:
    key = archive_key()
    with pytest.raises(IndexDamaged):
        check_signature(TEXT.encode(), key.sign_detached(TEXT.encode(), "--digest-algo", "SHA1"), [key.keyring])


def test_a_keyring_as_vendors_publish_it(tmp_path: Path) -> None:
    """Armoured, several in one file, with words before and Windows' line ends."""
    key, other = archive_key(), Key()
    both = tmp_path / "RPM-GPG-KEY"
    both.write_bytes(b"Keys.\n" + other.armoured.read_bytes() + key.armoured.read_bytes().replace(b"\n", b"\r\n"))
    assert dearmoured(both.read_bytes()) == other.keyring.read_bytes() + key.keyring.read_bytes()
    assert verified_release(key.sign(TEXT), [both]) == TEXT
    assert verified_release(other.sign(TEXT), [both]) == TEXT


def test_armour_with_headers() -> None:
    text = archive_key().armoured.read_text().replace("BLOCK-----\n", "BLOCK-----\nVersion: GnuPG v1\n", 1)
    assert dearmoured(text.encode()) == archive_key().keyring.read_bytes()


def test_armour_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(archive_key().armoured.read_bytes().replace(b"\n\nm", b"\n\n%"))
    with pytest.raises(KmodciError, match="its armour cannot be read") as caught:
        verified_release(archive_key().sign(TEXT), [broken])
    assert not isinstance(caught.value, IndexDamaged)
