import kmodci.passwords as passwords
import pytest
from kmodci.passwords import Unfit, fingerprint, fits, generated, hashed

PASSWORD = "correct horse battery"


def test_a_password_fits_its_hash_and_no_other() -> None:
    kept = hashed(PASSWORD)
    assert PASSWORD not in kept and hashed(PASSWORD) != kept
    assert fits(PASSWORD, kept)
    assert not fits(PASSWORD + "x", kept)
    assert not fits("", kept)
    assert fingerprint(kept) not in kept and fingerprint(kept) != fingerprint(hashed(PASSWORD))


@pytest.mark.parametrize("kept", ["", PASSWORD, "scrypt$99$8$1$AAAAAAAAAAAAAAAAAAAAAA==$" + "A" * 43 + "=", "sha256$x"])
def test_what_is_no_hash_fits_nothing(kept: str) -> None:
    assert not fits(PASSWORD, kept)
    assert not fits("", kept)


def test_as_much_is_done_where_there_is_no_such_user(monkeypatch: pytest.MonkeyPatch) -> None:
    real, costs = passwords._scrypt, []

    def noted(password: bytes, salt: bytes, *cost: int) -> bytes:
        costs.append((len(password), len(salt), *cost))
        return real(password, salt, *cost)

    kept = hashed(PASSWORD)
    monkeypatch.setattr(passwords, "_scrypt", noted)
    assert not fits(PASSWORD, None)
    assert fits(PASSWORD, kept)
    assert costs[0] == costs[1]


@pytest.mark.parametrize("password", ["", "short", "x" * 11, "é" * 600])
def test_what_is_too_short_or_too_long_is_refused_without_telling_it(password: str) -> None:
    with pytest.raises(Unfit) as caught:
        hashed(password)
    assert not password or password not in str(caught.value)


def test_one_that_nobody_has_to_think_of() -> None:
    made = generated()
    assert hashed(made) and made != generated()
