import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from kmodci import cli

SHIPPED = Path(__file__).parents[2] / "config"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The shipped configuration, with a state of its own and an engine that nobody answers at."""
    folder = tmp_path / "config"
    shutil.copytree(SHIPPED, folder)
    kmodci = folder / "kmodci.yml"
    kmodci.write_text(kmodci.read_text().replace("unix:///var/run/docker.sock", f"unix://{tmp_path}/no.sock"))
    (tmp_path / "state").mkdir()
    return folder


@pytest.fixture
def run(config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `kmodci`: its exit status, what it prints, what it notes beside that."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("KMODCI_CONFIG", str(config))
        monkeypatch.setattr("sys.argv", ["kmodci", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        told = capsys.readouterr()
        return status, told.out, told.err

    return command
