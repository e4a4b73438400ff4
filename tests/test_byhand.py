import io
import subprocess
from pathlib import Path

import pytest
from kmodci.byhand import _files
from kmodci.errors import VerifyError


def test_a_file_that_is_said_to_be_larger_than_memory_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "bomb.ko").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "facts.json").write_text("{}")
    archive = subprocess.run(
        ["tar", "-C", str(tmp_path), "--sparse", "-cf", "-", "."], check=True, capture_output=True
    ).stdout
    assert len(archive) < 100_000
    assert _files(io.BytesIO(archive)) == {"facts.json": b"{}"}


def test_what_is_no_archive() -> None:
    with pytest.raises(VerifyError, match="no archive"):
        _files(io.BytesIO(b"x" * 2000))
