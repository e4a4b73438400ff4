from pathlib import Path

import pytest
from kmodci.errors import SecretUnusable
from kmodci.secretfile import read_secret


def secret(tmp_path: Path, content: bytes, mode: int = 0o600) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_one_line(tmp_path: Path) -> None:
    assert read_secret(secret(tmp_path, b"hush hush\n")) == "hush hush"
    assert read_secret(secret(tmp_path, b"hush", 0o400)) == "hush"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hush\nhush", b"hush\x00", b"hu\xffsh", b"hush" * 2000])
def test_what_is_no_secret_is_refused_without_telling_it(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SecretUnusable) as caught:
        read_secret(secret(tmp_path, content))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_others_may_not_read_it(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SecretUnusable, match=r"others may read it\n  hint: chmod 600 /"):
        read_secret(secret(tmp_path, b"hush", mode))


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SecretUnusable, match="secret: no such file"):
        read_secret(tmp_path / "secret")
