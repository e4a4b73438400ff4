"""What the worker opens of what a build made."""

import importlib.util
import os
from pathlib import Path

import pytest
from kmodci.workerbundle import SCRIPTS

_spec = importlib.util.spec_from_file_location("worker", SCRIPTS / "worker.py")
assert _spec
assert _spec.loader
worker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(worker)


def test_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "a.ko").write_bytes(b"\x7fELF")
    with worker.open_plain(str(tmp_path / "a.ko"), "rb") as file:
        assert file.read() == b"\x7fELF"


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "device", "nothing"])
def test_anything_else_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.ko"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to("/proc/self/environ")
        case "folder":
            path.mkdir()
        case "device":
            path = Path("/dev/zero")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match=r"\w"):
        worker.open_plain(str(path), "rb")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
