"""The systemd units in docs/: what they run is there, and systemd has nothing against them."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from kmodci.cli import kmodci

DOCS = Path(__file__).parents[1] / "docs"
UNITS = ("kmodci.service", "kmodci-images.service")
PROGRAM = "/opt/kmodci/.venv/bin/kmodci"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names have capitals
    parser.read_string((DOCS / name).read_text())
    return parser


@pytest.mark.parametrize("name", UNITS)
def test_what_it_runs_is_there(name: str) -> None:
    commands = re.findall(rf"^Exec\w+={re.escape(PROGRAM)} (.*)$", (DOCS / name).read_text(), re.MULTILINE)
    assert commands
    for words in map(shlex.split, commands):
        command = kmodci.get_command(click.Context(kmodci), words[0])
        assert command is not None
        # which raises what it would exit with
        command.make_context(words[0], words[1:])


def test_the_farm_may_do_little_and_comes_back() -> None:
    farm = unit("kmodci.service")["Service"]
    assert (farm["Restart"], farm["KillMode"], farm["NoNewPrivileges"]) == ("always", "mixed", "yes")
    assert farm["ProtectSystem"] == "strict"
    assert farm["CapabilityBoundingSet"] == ""
    assert farm["User"] == "kmodci"
    # it is told to stop, and ends as one that was interrupted (cli.kmodci)
    assert farm["SuccessExitStatus"] == "130"
    assert "130  Ctrl-C" in (kmodci.help or "")
    # master/lock has the master's number (bot.startup)
    assert farm["ExecReload"].endswith("/var/lib/kmodci/master/lock)\"'")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="this machine has no systemd-analyze")
def test_systemd_takes_them(tmp_path: Path) -> None:
    for name in UNITS:
        text = (DOCS / name).read_text()
        # /opt/kmodci is not on this machine, and systemd-analyze looks whether it is
        text = text.replace(PROGRAM, "/bin/true").replace("WorkingDirectory=/opt/kmodci", "WorkingDirectory=/")
        (tmp_path / name).write_text(re.sub("^Documentation=.*$", "", text, flags=re.MULTILINE))
    files = [str(tmp_path / name) for name in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", files[0]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout[-500:]
