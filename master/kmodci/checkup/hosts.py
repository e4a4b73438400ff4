"""The build hosts: does each engine answer, and does it keep a build in? One short container is run, and removed."""

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path

from docker.errors import APIError

from kmodci.engine import Engine
from kmodci.engines import engines_of
from kmodci.findings import Finding, good, note, of_certificate, of_clock, of_disk, of_sandbox
from kmodci.hosts import Host
from kmodci.sandbox import Limits, host_config

from .wire import certificate_end, engine_certificate_end

_OLDEST = (20, 10)
"""the oldest engine that this was tried with"""
_PATIENCE = 10
# as a build sees its surroundings; /in, /kmodci and the master's socket are not there, and are not what is asked about
_PROBE = r"""
echo "uid=$(id -u)"
echo "net=$(sed -n 's/^ *\([^ :]*\):.*/\1/p' /proc/net/dev | sort | tr '\n' ' ' | sed 's/ $//')"
echo "caps=$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)"
echo "nnp=$(sed -n 's/^NoNewPrivs:[[:space:]]*//p' /proc/self/status)"
echo "seccomp=$(sed -n 's/^Seccomp:[[:space:]]*//p' /proc/self/status)"
echo "memory=$(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null | head -n 1)"
echo "pids=$(cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null | head -n 1)"
if (: >/doctor) 2>/dev/null; then echo root=writable; else echo root=read-only; fi
if (: >/build/doctor) 2>/dev/null; then echo build=writable; else echo build=read-only; fi
if [ -e /var/run/docker.sock ]; then echo socket=there; else echo socket=none; fi
df -Pk / | awk 'NR == 2 { print "free=" $4 }'
df -Pi / | awk 'NR == 2 { print "files=" $2; print "free_files=" $4 }'
echo end=yes
"""


def engine_of(host: Host, farm: str) -> Engine:
    return engines_of({host.name: host}, farm)[host.name]


def of_engine(host: Host, engine: Engine) -> Iterator[Finding]:
    """It answers, with which version, on which machine; its warnings, clock and certificate. Raises EngineError."""
    answer = engine.look(timeout=_PATIENCE)
    asked = time.time()
    with engine.asking("ask how it is", timeout=_PATIENCE) as client:
        info = client.info()
    answered = time.time()
    yield good(f"answers: Docker {answer.version}, {info['Architecture']}, {answer.cores} cores")
    # behind a proxy an engine tells no more than that (`enginepolicy`)
    numbers = tuple(int(part) for part in re.findall(r"\d+", answer.version)[:2])
    if numbers < _OLDEST:
        yield note(f"Docker {answer.version} is older than any that was tried", "update it: 20.10 or newer")
    for warning in info.get("Warnings") or ():
        yield note(f"it warns: {str(warning).removeprefix('WARNING: ')[:200]}")
    with contextlib.suppress(ValueError):
        # nanoseconds are more than Python knows
        text = re.sub(r"(\.\d{6})\d*", r"\1", str(info.get("SystemTime", "")))
        yield of_clock("the engine", datetime.fromisoformat(text).timestamp(), asked, answered)
    folder = Path(str(info.get("DockerRootDir", "")))
    if host.same_machine and folder.is_absolute() and folder.is_dir():
        yield _disk(f"its disk ({folder})", folder)


def of_certificates(host: Host) -> Iterator[Finding]:
    """The engine's own, and the farm's with its authority."""
    if host.tls is None:
        return
    now, files = time.time(), {"the farm's certificate": host.tls.cert, "the engine's authority": host.tls.ca}
    for whose, path in files.items():
        yield of_certificate(
            f"{whose} ({path})", certificate_end(path), now, renew=f"make a new one, and put it in {path}"
        )
    end = engine_certificate_end(host.docker_host, host.tls)
    yield of_certificate("the engine's certificate", end, now, renew="make a new one for the engine, and restart it")


def of_sandboxes(engine: Engine, limits: Limits, tags: Collection[str]) -> Iterator[Finding]:
    """Whether a container is as closed as a build's has to be. tags: of the farm's images. Raises EngineError."""
    image = next((tag for tag in sorted(tags) if tag in engine.tags()), "")
    if not image:
        yield note("no sandbox was tried: the engine has none of the farm's images yet", "the first build brings one")
        return
    seen = _try(engine, image, limits)
    yield from of_sandbox(seen, memory=limits.memory, processes=limits.processes)
    if seen.get("free", "").isdigit():
        counts = {name: int(seen[name]) if seen.get(name, "").isdigit() else 0 for name in ("files", "free_files")}
        yield of_disk("the engine's disk", free=int(seen["free"]) << 10, **counts)


def _try(engine: Engine, image: str, limits: Limits) -> dict[str, str]:
    with engine.asking(f"run {image}", timeout=_PATIENCE) as client:
        config = client.create_host_config(**host_config(limits))
        command = ["/bin/sh", "-c", _PROBE]
        container = client.create_container(image, command, host_config=config)["Id"]
        try:
            output = client.attach(container, stream=True)
            client.start(container)
            text = b"".join(output).decode(errors="replace")
        finally:
            with contextlib.suppress(APIError):
                client.remove_container(container, v=True, force=True)
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def _disk(what: str, folder: Path) -> Finding:
    room = os.statvfs(folder)
    return of_disk(what, free=room.f_bavail * room.f_frsize, files=room.f_files, free_files=room.f_favail)
