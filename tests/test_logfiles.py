from pathlib import Path

import pytest
from kmodci import logfiles
from kmodci.logfiles import roll


def test_a_large_log_makes_room_and_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "_LARGEST", 10)
    log = tmp_path / "s3.log"
    roll(log)
    for number in range(5):
        log.write_text(f"{number}" * 10)
        roll(log)
        assert not log.exists()
    log.write_text("small")
    roll(log)
    assert {path.name: path.read_text()[0] for path in tmp_path.iterdir()} == {
        "s3.log": "s", "s3.log.1": "4", "s3.log.2": "3", "s3.log.3": "2"
    }  # fmt: skip


def test_what_cannot_be_renamed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "_LARGEST", 10)
    log = tmp_path / "s3.log"
    log.write_text("x" * 20)
    (tmp_path / "s3.log.1").mkdir()
    (tmp_path / "s3.log.2").mkdir()
    (tmp_path / "s3.log.2" / "in the way").touch()
    (tmp_path / "s3.log.3").mkdir()
    (tmp_path / "s3.log.3" / "in the way").touch()
    roll(log)
    assert log.read_text() == "x" * 20
