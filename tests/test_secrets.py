"""master/make-secrets: once, whole, and for who is to have each."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "master" / "make-secrets"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The same, for a folder of the test's."""
    for name in ("master", "s3", "database"):
        (tmp_path / name).mkdir()
    place = tmp_path / "make-secrets"
    text = SCRIPT.read_text()
    assert "\ncd /run/kmodci-secrets\n" in text
    place.write_text(text.replace("/run/kmodci-secrets\n", f"{tmp_path}\n"))
    return place


def run(script: Path) -> dict[str, tuple[str, int]]:
    subprocess.run(["sh", script], check=True)
    found = {path.relative_to(script.parent): path for path in script.parent.rglob("*/*") if path.is_file()}
    return {name.as_posix(): (path.read_text(), stat.S_IMODE(path.stat().st_mode)) for name, path in found.items()}


def test_they_are_made_once(script: Path) -> None:
    made = run(script)
    assert {name: mode for name, (_, mode) in made.items()} == {
        "master/pgpass": 0o600,
        "master/s3-credentials": 0o600,
        "s3/credentials": 0o600,
        "database/password": 0o644,
    }
    password = made["database/password"][0].strip()
    assert len(password) == 48
    assert made["master/pgpass"][0] == f"database:5432:kmodci:kmodci:{password}\n"
    assert made["master/s3-credentials"][0] == made["s3/credentials"][0]
    assert run(script) == made


@pytest.mark.parametrize("lost", ["database/password", "s3/credentials"])
def test_what_was_broken_off_is_made_anew(script: Path, lost: str) -> None:
    before = run(script)
    (script.parent / lost).unlink()
    after = run(script)
    assert after[lost] != before[lost]
    folder = lost.split("/")[0]
    assert {name for name in after if after[name] != before[name] and not name.startswith(folder)} == {
        "master/pgpass" if folder == "database" else "master/s3-credentials"
    }


def test_it_is_a_posix_script() -> None:
    for shell in filter(shutil.which, ("dash", "bash")):
        subprocess.run([shell, "-n", SCRIPT], check=True)
