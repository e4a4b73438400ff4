"""CPU seconds of processes, containers and the whole machine, as Linux counts them."""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY = 0.1
# where Docker puts containers with the cgroupfs driver, by cgroup v1 and v2; the systemd driver has no one place
_CONTAINERS = (Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup"))


def machine() -> float:
    """What all processes and the kernel have used since the start (proc(5), /proc/stat)."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / _TICKS


def containers(cgroup: str = "docker") -> float | None:
    """What all containers below a cgroup have used, those that are gone included. None where it cannot be told."""
    for root in _CONTAINERS:
        usage, stat = root / cgroup / "cpuacct.usage", root / cgroup / "cpu.stat"
        if usage.exists():
            return int(usage.read_text()) / 1e9
        if stat.exists():
            return int(stat.read_text().split()[1]) / 1e6
    return None


def process(pid: int, *, since: float = 0.0) -> tuple[float, float]:
    """Of one process: by itself, and by its children that have ended (proc(5), /proc/pid/stat).

    0 when it is gone, or was there before `since` (seconds since the machine's start): then it is another's.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    user, system, child_user, child_system = map(int, fields[11:15])
    # a start is told in whole ticks
    if (int(fields[19]) + 1) / _TICKS < since:
        return 0.0, 0.0
    return (user + system) / _TICKS, (child_user + child_system) / _TICKS


@dataclass(slots=True)
class Watch:
    """Processes that come and go, looked at ten times a second; what one used last is what it used."""

    pids: Mapping[str, Path]
    """name -> the file that its pid is in"""
    used: dict[str, float] = field(default_factory=dict)
    """seconds by name; `name's children` apart"""
    _began: float = field(default_factory=lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
    _end: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def looking(self) -> Iterator["Watch"]:
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield self
        finally:
            self._end.set()
            thread.join()

    def _look(self) -> None:
        while not self._end.wait(_EVERY):
            for name, file in self.pids.items():
                self._note(name, file)

    def _note(self, name: str, file: Path) -> None:
        try:
            text = file.read_text().strip()
        except FileNotFoundError:
            return
        if text.isdigit():
            own, children = process(int(text), since=self._began)
            self.used[name] = max(self.used.get(name, 0.0), own)
            self.used[f"{name}'s children"] = max(self.used.get(f"{name}'s children", 0.0), children)
