"""Build hosts, as plain data: which of them can build what, which one is next, and how each stands."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files: who vouches for the engine's certificate, and this farm's own certificate with its key."""

    ca: Path
    cert: Path
    key: Path


class Way(IntEnum):
    """How a host builds for an architecture, the better one first."""

    NATIVE = 0
    CROSS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAt:
    """Where a Kubernetes cluster's API is, who the farm is there, and what its pods get besides their limits."""

    server: str
    """`https://...`"""
    namespace: str
    ca: Path | None = None
    """PEM file of the authority that the API's certificate is from; None: one that this machine trusts"""
    token: Path | None = None
    """the file with a service account's token, read for each question: it may be renewed"""
    cert: Path | None = None
    key: Path | None = None
    images: str
    """the host, and port, by which the cluster's nodes fetch images from the farm's registry, or from a copy of it"""
    pull_secret: str = ""
    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[tuple[str, str, str], ...] = ()
    """key, value (empty: any), effect (empty: all)"""
    runtime_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What builds run on: a Docker engine, or a namespace of a Kubernetes cluster."""

    name: str
    docker_host: str = ""
    """`unix://`, `tcp://` or `ssh://`; empty where it is a cluster"""
    cluster: ClusterAt | None = None
    same_machine: bool
    """whether it sees the master's files and sockets, under the same paths; else they are sent to it"""
    arches: frozenset[str]
    """its own; one, as a machine has"""
    cross: frozenset[str] = frozenset()
    """that it builds for with a cross compiler"""
    labels: frozenset[str] = frozenset()
    tls: Tls | None = None

    @property
    def arch(self) -> str:
        """Its own: what containers run on."""
        return min(self.arches)

    @property
    def kind(self) -> str:
        """What is at its address, for people."""
        return "Kubernetes" if self.cluster else "Docker"

    @property
    def address(self) -> str:
        """Of the engine or the cluster's API, without the name of a user."""
        if self.cluster is not None:
            return f"{self.cluster.server} ({self.cluster.namespace})"
        return re.sub("(?<=://)[^/@]*@", "", self.docker_host)

    def way(self, arch: str, labels: Collection[str] = ()) -> Way | None:
        """How it builds for this architecture; None if it cannot, or lacks one of the labels."""
        if not self.labels.issuperset(labels):
            return None
        if arch in self.arches:
            return Way.NATIVE
        return Way.CROSS if arch in self.cross else None


@dataclass(frozen=True, slots=True)
class Room:
    """Workers of a host: how many there are, and how many of them are free."""

    workers: int
    free: int

    @property
    def load(self) -> float:
        return 1 - self.free / self.workers


def able(hosts: Mapping[str, Host], *, arch: str, labels: Collection[str] = ()) -> list[str]:
    """The hosts that can build it: native before cross, then as they come."""
    ways = [
        (way, at, name) for at, (name, host) in enumerate(hosts.items()) if (way := host.way(arch, labels)) is not None
    ]
    return [name for _, _, name in sorted(ways)]


def choose(
    hosts: Mapping[str, Host],
    rooms: Mapping[str, Room],
    *,
    arch: str,
    labels: Collection[str] = (),
    lacking: Collection[str] = (),
) -> str | None:
    """The host for a build: native before cross, then the least loaded, then the first. None: it has to wait.

    rooms: by host; one that is not among them takes nothing now. lacking: hosts that something of this build has yet
    to be made for; they are passed over where another one is not.
    """
    names = able(hosts, arch=arch, labels=labels)
    names = [name for name in names if name not in lacking] or names
    free = [name for name in names if name in rooms and rooms[name].free]
    return min(free, key=lambda name: (hosts[name].way(arch), rooms[name].load), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an engine, or a cluster, says when it is asked how it is."""

    images: frozenset[str] = frozenset()
    """every `repository:tag` that it has; of a cluster none, whose nodes fetch what they need"""
    cores: int = 0
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """How a host stands. Times are seconds since the epoch, 0 for never."""

    since: float = 0.0
    """when it came to be so"""
    answered: float = 0.0
    """when it did last"""
    fault: str = ""
    """why no build is started there; empty while it answers"""
    last: Answer = Answer()

    @property
    def is_away(self) -> bool:
        return bool(self.fault)

    def answer(self, answer: Answer, now: float) -> "HostState":
        """It answered."""
        return HostState(
            since=now if self.is_away or not self.since else self.since, answered=now, fault="", last=answer
        )

    def fail(self, fault: str, now: float) -> "HostState":
        """It did not, or not as it should."""
        return replace(self, since=self.since if self.is_away else now, fault=fault or "it does not answer")
