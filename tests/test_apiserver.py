"""Where a farm is asked, and with which token."""

import os
import threading
from pathlib import Path

import pytest
from kmodci.apiserver import Server, read_token
from kmodci.errors import Refused, SecretUnusable
from kmodci.release import BadName

TOKEN = "A-_" + "x" * 40
HTTPS = Server.parse("https://farm.example.com")


@pytest.mark.parametrize(
    ("text", "api"),
    [
        ("http://127.0.0.1:8010", "http://127.0.0.1:8010/api/kmodci/v1/"),
        ("https://farm.example.com/", "https://farm.example.com/api/kmodci/v1/"),
        ("https://example.com/below/it//", "https://example.com/below/it/api/kmodci/v1/"),
        ("http://[::1]:8010/", "http://[::1]:8010/api/kmodci/v1/"),
    ],
)
def test_addresses(text: str, api: str) -> None:
    assert Server.parse(text).api == api


@pytest.mark.parametrize(
    "text",
    [
        "",
        "farm.example.com",
        "127.0.0.1:8010",
        "ftp://farm.example.com/",
        "file:///etc/passwd",
        "http://",
        "http://[::1",
        "http://farm:port/",
        "http://farm:99999/",
        "http://farm.example.com/?x=1",
        "http://farm.example.com/#/builders",
        "http://farm.example.com/a b",
        "http://farm.example.com/\r\nX: y",
        "http://farm.example.com/" + "x" * 500,
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadName, match="not the address of a farm") as caught:
        Server.parse(text)
    assert caught.value.exit_code == 2


def test_a_password_in_an_address_is_refused_and_not_told() -> None:
    with pytest.raises(BadName) as caught:
        Server.parse("https://me:secret@farm.example.com/")
    assert "secret" not in str(caught.value)
    assert "--token-file" in str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "server", ["https://farm.example.com", "http://127.0.0.1:8010", "http://localhost", "http://[::1]:8010"]
)
def test_a_token_goes_where_nobody_listens(file: Path, server: str) -> None:
    assert read_token(file, Server.parse(server), insecure=False) == TOKEN


@pytest.mark.parametrize("server", ["http://farm.example.com", "http://10.0.0.1", "http://localhost.example.com"])
def test_and_nowhere_else_unless_that_is_said(file: Path, server: str) -> None:
    with pytest.raises(Refused, match="a token is not sent to"):
        read_token(file, Server.parse(server), insecure=False)
    assert read_token(file, Server.parse(server), insecure=True) == TOKEN


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_file_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(SecretUnusable, match="others may read it") as caught:
        read_token(file, HTTPS, insecure=False)
    assert caught.value.hint.startswith(f"chmod 600 {file}")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "does not hold one line"),
        (b"short", "holds no token"),
        (f"{TOKEN} and more".encode(), "holds no token"),
        (f"{TOKEN}\r\nX-Evil: 1".encode(), "does not hold one line"),
        (b"\xff" * 40, "does not hold one line"),
        (b"x" * 5000, "does not hold one line"),
    ],
)
def test_what_is_no_token(file: Path, content: bytes, told: str) -> None:
    file.write_bytes(content)
    with pytest.raises((SecretUnusable, Refused), match=told) as caught:
        read_token(file, HTTPS, insecure=False)
    assert TOKEN not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SecretUnusable, match="no such file"):
        read_token(tmp_path / "none", HTTPS, insecure=False)
    with pytest.raises(SecretUnusable, match=r"is a directory|others may read it"):
        read_token(tmp_path, HTTPS, insecure=False)


def test_a_token_may_come_through_a_pipe() -> None:
    """As a shell's `<(pass show farm)` has it."""
    reader, writer = os.pipe()
    feed = threading.Thread(target=lambda: (os.write(writer, f"{TOKEN}\n".encode()), os.close(writer)))
    feed.start()
    try:
        assert read_token(Path(f"/dev/fd/{reader}"), HTTPS, insecure=False) == TOKEN
    finally:
        feed.join()
        os.close(reader)
