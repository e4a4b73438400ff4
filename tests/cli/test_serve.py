"""What the commands for containers say before they start anything."""

from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


def test_a_database_that_does_not_answer_is_waited_for_and_then_told(run: Run, config: Path) -> None:
    kmodci = config / "kmodci.yml"
    kmodci.write_text(f"{kmodci.read_text()}\ndatabase: {{url: 'postgresql://farm@127.0.0.1:1/farm'}}\n")
    status, _, told = run("serve", "--wait", "0")
    assert status == 1
    assert "database postgresql://farm@127.0.0.1:1/farm: cannot create the tables: connection failed" in told
    assert not (config.parent / "state" / "users.json").exists(), "nothing is begun without it"


def test_a_scope_that_is_not_there(run: Run) -> None:
    status, _, told = run("serve", "--scope", "x")
    assert (status, "no scope 'x'" in told) == (2, True)


def test_a_bucket_has_a_name(run: Run, tmp_path: Path) -> None:
    status, _, told = run("serve-s3", "--folder", str(tmp_path), "--bucket", "../x", "--credentials", "x")
    assert status != 0
    assert "not a bucket's name: '../x'" in told


def test_credentials_that_cannot_be_read_are_told_without_them(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("sesame without a section")
    status, _, told = run("serve-s3", "--folder", str(tmp_path), "--credentials", str(file))
    assert status == 1
    assert "no credentials can be read" in told and "sesame" not in told


@pytest.mark.parametrize("url", ["tcp://0.0.0.0:1", "unix://relative/x", "/run/x.sock"])
def test_images_are_served_at_a_unix_socket(run: Run, url: str) -> None:
    status, _, told = run("serve-images", "--listen", url)
    assert (status, "only unix sockets" in told) == (2, True)


def test_what_is_no_backup_is_not_restored(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("something else")
    status, _, told = run("restore", str(tmp_path / "file"))
    assert (status, "no whole backup" in told) == (1, True)
