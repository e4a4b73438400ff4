"""What docs/examples has can be used as it is."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.nodes import SCRIPT

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed here")
def test_the_unit_is_one(tmp_path: Path) -> None:
    text = (EXAMPLES / "kmod-get@.service").read_text()
    assert "ExecStart=/usr/local/bin/kmod-get " in text
    # systemd wants the program to be there
    (tmp_path / "kmod-get@.service").write_text(text.replace("/usr/local/bin/kmod-get", "/bin/true"))
    unit = str(tmp_path / "kmod-get@v4l2loopback.service")
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_tries_again_what_is_worth_it() -> None:
    """Of the statuses that kmod-get ends with, 5 and 6 alone (docs/nodes.md): not what will fail in the same way."""
    text = (EXAMPLES / "kmod-get@.service").read_text()
    assert "Restart=on-failure" in text.splitlines()
    [given_up] = re.findall(r"^RestartPreventExitStatus=(.*)$", text, re.MULTILINE)
    statuses = set(re.findall(r"\bdie ([0-9]) ", SCRIPT.read_text()))
    assert statuses - set(given_up.split()) == {"5", "6"} and set(given_up.split()) <= statuses


def test_the_hook_asks_for_the_kernel_that_is_installed(tmp_path: Path) -> None:
    said = tmp_path / "said"
    (tmp_path / "kmod-get").write_text(f'#!/bin/sh\necho "$@" >{said}\nexit 3\n')
    (tmp_path / "kmod-get").chmod(0o755)
    hook = [str(EXAMPLES / "zz-kmod-get"), "6.1.0-50-amd64", "/boot/vmlinuz-6.1.0-50-amd64"]
    done = subprocess.run(hook, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    assert said.read_text() == "--kernel 6.1.0-50-amd64 --wait 300 v4l2loopback\n"
    assert done.stderr == "no v4l2loopback for 6.1.0-50-amd64 yet\n", "and the installation goes on"
