"""The container that one build runs in, as plain data: what it may see, use and do.

A module's Makefile is somebody else's code. It gets the toolchain image read-only, its inputs
read-only, memory to write to, and nothing else: no network, no capability, no secret, no other build.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from .distros import Layout

# Debian's `nobody`/`nogroup`; a number, because an image need not have a passwd file.
USER = "65534:65534"
LABEL = "kmodci.farm"

BUNDLE_MOUNT = "/kmodci"
INPUT_MOUNT = "/in"
SOCKET_MOUNT = "/run/kmodci"
SOCKET_NAME = "pb.sock"
# headers name each other by this path
HEADERS_MOUNT = "/usr/src"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a build may use.

    memory, disk: bytes (disk is memory too: all that a build writes is in tmpfs); processes: a
    number; seconds: wall time; output: bytes of log.
    """

    memory: int
    disk: int
    processes: int
    seconds: int
    output: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a container gets to see, all of it read-only: where that is on the master."""

    bundle: Path
    """the worker bundle"""
    files: Path
    """the folder with this build's header bundle and source"""
    headers: Mapping[str, Path] = field(default_factory=dict)
    """the bundle's folders, where they lie unpacked"""
    sockets: Path | None = None
    """the folder with the master's socket, where a Buildbot worker is to run"""

    @property
    def binds(self) -> list[str]:
        """For an engine on the same machine, in its notation."""
        mounts = [f"{self.bundle}:{BUNDLE_MOUNT}:ro", f"{self.files}:{INPUT_MOUNT}:ro"]
        mounts += [f"{path}:{HEADERS_MOUNT}/{name}:ro" for name, path in self.headers.items()]
        if self.sockets is not None:
            mounts.append(f"{self.sockets}:{SOCKET_MOUNT}:ro")
        return mounts


NO_LOG: Mapping[str, object] = MappingProxyType({"log_config": {"Type": "none", "Config": {}}})


def sent_config(bundle_volume: str) -> dict[str, object]:
    """The same on an engine that is elsewhere, as more arguments of `create_host_config`.

    bundle_volume: holds the worker bundle there. /in is a volume of the container's own, that ends with it. It is
    not mounted read-only, or nothing could be sent to it; what is in it belongs to root, and a build is not root.
    """
    volume = {"Type": "volume", "VolumeOptions": {"NoCopy": True}}
    return {
        "mounts": [
            {**volume, "Source": bundle_volume, "Target": BUNDLE_MOUNT, "ReadOnly": True},
            {**volume, "Target": INPUT_MOUNT, "ReadOnly": False},
        ],
    }


NOTHING: Mapping[str, object] = MappingProxyType(
    {"network_mode": "none", "read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
)
"""What every container of a farm may do, as arguments of `create_host_config`."""


def host_config(limits: Limits) -> dict[str, object]:
    """The keyword arguments of the Docker SDK's `create_host_config`, but for the volumes.

    Docker's own seccomp profile stays on by default. Swap is set equal to memory, so that a build
    out of memory is killed rather than slow. What a container prints is read as it comes, and is not for the engine's
    logs, which have no limit: it is what a build says or made, or a worker's connection.
    """
    room = f"rw,exec,nosuid,nodev,uid=65534,gid=65534,mode=0755,size={limits.disk}"
    return {
        **NOTHING,
        # Docker's init would keep the worker's password in its own /proc/1/environ
        "init": False,
        "mem_limit": limits.memory,
        "memswap_limit": limits.memory,
        "pids_limit": limits.processes,
        **NO_LOG,
        # /usr/src for headers that are not mounted there unpacked; /lib/modules because many a
        # Makefile looks for its kernel in /lib/modules/<release>/build.
        "tmpfs": dict.fromkeys(("/build", "/tmp", HEADERS_MOUNT, "/usr/lib/modules"), room),  # noqa: S108 the container's
    }


# the same inputs give the same bytes, so neither time nor place may be one of them
_SAME = {
    "SOURCE_DATE_EPOCH": "0",
    "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
    "KBUILD_BUILD_USER": "kmodci",
    "KBUILD_BUILD_HOST": "kmodci",
}


def prepare_environment(
    *, release: str, arch: str, toolchain: str, jobs: int, limits: Limits, more: Mapping[str, str]
) -> dict[str, str]:
    """What `prepare-headers` reads, see its header. more: what only one of its two uses reads."""
    return {
        "KMODCI_RELEASE": release,
        "KMODCI_ARCH": arch,
        "KMODCI_TOOLCHAIN": toolchain,
        "KMODCI_MEMORY": str(limits.memory),
        "KMODCI_JOBS": str(jobs),
        **_SAME,
        **more,
    }


def build_environment(
    *,
    release: str,
    layout: Layout,
    arch: str,
    toolchain: str,
    module: str,
    version: str,
    recipe: Mapping[str, str],
    limits: Limits,
) -> dict[str, str]:
    """What `build-module` reads, see its header. recipe: KMODCI_BUILD and KMODCI_ARTIFACTS, if any."""
    return {
        "KMODCI_RELEASE": release,
        "KMODCI_HEADERS": layout.own,
        "KMODCI_HEADERS_SOURCE": layout.source,
        "KMODCI_ARCH": arch,
        "KMODCI_TOOLCHAIN": toolchain,
        "KMODCI_MODULE": module,
        "KMODCI_MODULE_VERSION": version,
        "KMODCI_MEMORY": str(limits.memory),
        "KMODCI_JOBS": "1",
        **_SAME,
        **recipe,
    }
