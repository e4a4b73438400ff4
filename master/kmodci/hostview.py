"""What is shown of the build hosts: pure, and the same for people and programs."""

from collections.abc import Mapping
from dataclasses import dataclass

from .hosts import Host, HostState


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """One host."""

    host: Host
    state: HostState
    workers: int
    """builds at once"""
    running: int
    """builds there now"""
    images: int
    """of the farm's toolchain images, those that it has"""

    @property
    def fault(self) -> str:
        """In what words the host is told of already is left out."""
        told, host = self.state.fault, self.host
        if host.cluster is not None:
            return told.removeprefix(f"cluster {host.cluster.server}: ")
        told = told.removeprefix(f"Docker engine {host.docker_host}: ").removeprefix("ask how it is: ")
        return told.replace(host.docker_host, host.address)

    @property
    def standing(self) -> str:
        if self.state.is_away:
            return "away"
        return "answers" if self.state.answered else "unasked"


def views(
    hosts: Mapping[str, Host],
    states: Mapping[str, HostState],
    *,
    workers: Mapping[str, int],
    running: Mapping[str, int],
    images: frozenset[str],
) -> tuple[HostView, ...]:
    """In the order of the configuration. states, workers, running: by host; images: the farm's tags."""
    return tuple(
        HostView(
            host=host,
            state=states[name],
            workers=workers.get(name, 0),
            running=running.get(name, 0),
            images=len(states[name].last.images & images),
        )
        for name, host in hosts.items()
    )


def plain(seen: HostView, now: float) -> dict[str, object]:
    """For a program. now: seconds since the epoch."""
    host, state = seen.host, seen.state
    return {
        "host": host.name,
        "kind": host.kind,
        "address": host.address,
        "standing": seen.standing,
        "arches": sorted(host.arches),
        "cross": sorted(host.cross),
        "labels": sorted(host.labels),
        "workers": seen.workers,
        "running": seen.running,
        "images": seen.images,
        "engine": state.last.version,
        "answered": state.answered or None,
        "answered_ago": round(now - state.answered, 1) if state.answered else None,
        "fault": seen.fault,
        "since": state.since or None,
    }
