"""Where a cluster's programs run: namespaces and an address of their own, all of which end together."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.farm import until

_CGROUPS = Path("/sys/fs/cgroup")
# folders in which kubelet, containerd and CNI's plugins keep things, wherever they are told to
_HIDDEN = ("run", "var/lib", "var/log")
# what a kubelet sets on its machine: it reads here that it is so, and leaves the machine alone
_SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
# the first process of the namespace: it takes in what others leave, and with its end all others are killed
_FIRST = """
set -e
at=$1
shift
for each in "$@"; do mount --bind "$at/$each" "/$each"; done
: >"$at/entered"
while :; do sleep 10000 & wait; done
"""


class NodeBox:
    """A process and a mount namespace, an address that only this machine has, and a cgroup. Needs root.

    The network is the machine's, so that a registry on its loopback can be reached.
    """

    def __init__(self, folder: Path) -> None:
        """folder: one that is not there yet."""
        self._folder = folder
        self._first: subprocess.Popen[bytes] | None = None
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.number = _take_number()
        """0 to 255; no other has it at the same time"""
        self.cgroup = f"kmodci-{self.number}"
        self.address = f"10.214.{self.number}.1"
        self.bridge = f"kmodci-p{self.number}"
        """for pods; made by what needs it"""

    def open(self) -> None:
        _ip("addr", "add", f"{self.address}/32", "dev", _link(self.number))
        _ip("link", "set", _link(self.number), "up")
        for hierarchy in _hierarchies():
            (hierarchy / self.cgroup).mkdir()
        at = self._folder / "over"
        for each in _HIDDEN:
            (at / each).mkdir(parents=True)
        for name, value in _SYSCTLS.items():
            path = at / "proc" / "sys" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
        over = [*_HIDDEN, *(f"proc/sys/{name}" for name in _SYSCTLS)]
        log = at / "log"
        with log.open("wb") as output:
            self._first = subprocess.Popen(
                # it ends with the test's process, however that ends
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount",
                 "--mount-proc", "sh", "-c", _FIRST, "node", str(at), *over],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/",
            )  # fmt: skip
        until((at / "entered").exists, told=log.read_text)

    def has(self, address: str) -> None:
        """One more address of the machine's, until `close`."""
        _ip("addr", "add", f"{address}/32", "dev", _link(self.number))

    def start(self, name: str, command: Sequence[str], log: Path) -> None:
        """Starts a program inside; returns at once."""
        assert self._first is not None
        [first] = _children(self._first.pid)
        with log.open("ab") as output:
            self._running[name] = subprocess.Popen(
                ["nsenter", "--target", str(first), "--pid", "--mount", *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/",
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """At once; returns when it is gone. What it has started goes on."""
        process = self._running.pop(name)
        # nsenter waits for the program itself, to which no signal is passed on
        until(lambda: _children(process.pid) or process.poll() is not None)
        for child in _children(process.pid):
            os.kill(child, signal.SIGKILL)
        process.wait(60)

    def ended(self) -> list[str]:
        """The programs that ended by themselves."""
        return [name for name, process in self._running.items() if process.poll() is not None]

    def close(self) -> None:
        """Ends everything inside, and takes back what it has of the machine."""
        if self._first is not None:
            for first in _children(self._first.pid):
                os.kill(first, signal.SIGKILL)
            self._first.wait(60)
        for process in self._running.values():
            process.wait(60)
        for hierarchy in _hierarchies():
            until(lambda at=hierarchy / self.cgroup: _removed(at), told=lambda: f"{self.cgroup} stays")
        for link in (self.bridge, _link(self.number)):
            subprocess.run(["ip", "link", "del", link], check=False, capture_output=True)


def _take_number() -> int:
    for number in range(256):
        made = subprocess.run(
            ["ip", "link", "add", _link(number), "type", "bridge"], check=False, capture_output=True, text=True
        )
        if made.returncode == 0:
            return number
        assert "File exists" in made.stderr, made.stderr
    raise AssertionError("256 clusters are there already: `ip link` lists what is left of them, as kmodci-n*")


def _link(number: int) -> str:
    # a kernel may lack dummy devices, and none that runs containers lacks bridges
    return f"kmodci-n{number}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _hierarchies() -> list[Path]:
    """All of cgroup v1, or the one of v2."""
    if (_CGROUPS / "cgroup.procs").exists():
        return [_CGROUPS]
    return [each for each in _CGROUPS.iterdir() if not each.is_symlink() and (each / "cgroup.procs").exists()]


def _removed(cgroup: Path) -> bool:
    """The killed leave theirs a moment after their end."""
    for folder, _, _ in os.walk(cgroup, topdown=False):
        try:
            Path(folder).rmdir()
        except OSError:
            return False
    return True
