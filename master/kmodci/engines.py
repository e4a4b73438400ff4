"""All build hosts, and how each stands. Used from many threads; what asks an engine or a cluster may take a while."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from .cluster import Cluster
from .engine import Engine
from .errors import EngineError
from .hosts import Answer, Host, HostState, able
from .model import BUILD_ARCH, Kernel

# seconds for an answer; one that is well takes some hundredths
_LOOK = 10


@dataclass(slots=True, kw_only=True)
class Engines:
    """By the names of their hosts, in the order of the configuration."""

    hosts: Mapping[str, Host]
    engines: Mapping[str, Engine]
    """the Docker engines among them, where all that is not a build runs as well"""
    clusters: Mapping[str, Cluster] = field(default_factory=dict)
    """the others"""
    states: dict[str, HostState] = field(default_factory=dict)
    """of those that were asked; another is taken for well"""
    on_change: Callable[[str, HostState], None] = lambda _name, _state: None
    """called when a host goes away or comes back, by the thread that noticed"""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __getitem__(self, name: str) -> Engine:
        """The Docker engine of that name."""
        return self.engines[name]

    @property
    def _all(self) -> Mapping[str, Engine | Cluster]:
        return {**self.engines, **self.clusters}

    def __iter__(self) -> Iterator[str]:
        return iter(self.hosts)

    def state(self, name: str) -> HostState:
        return self.states.get(name, HostState())

    def is_away(self, name: str) -> bool:
        """As far as is known. Asks nobody."""
        return self.state(name).is_away

    @property
    def any_on_this_machine(self) -> bool:
        return any(host.same_machine for host in self.hosts.values())

    def look(self, name: str) -> HostState:
        """Asks an engine how it is, and notes it. Returns how it stands now."""
        try:
            answer = self._all[name].look(timeout=_LOOK)
        except EngineError as error:
            return self.note_fault(name, error.brief)
        return self._note(name, lambda state: state.answer(answer, time.time()))

    def look_at_all(self) -> None:
        """The same for each that there is, all at once."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            list(pool.map(self.look, self.hosts))

    def note_fault(self, name: str, fault: str) -> HostState:
        """What is known otherwise: it does not do as asked."""
        # what it had may be gone when it comes back
        self._all[name].forget_bundles()
        return self._note(name, lambda state: state.fail(fault, time.time()))

    def _note(self, name: str, after: Callable[[HostState], HostState]) -> HostState:
        with self._lock:
            before = self.state(name)
            self.states[name] = state = after(before)
        if before.is_away != state.is_away:
            self.on_change(name, state)
        return state

    def first(self, *, arch: str = "", labels: Collection[str] = (), among: Collection[str] | None = None) -> str:
        """An engine for what no worker does: the best that can build it, of those that answer. Raises EngineError.

        arch: any if not said; among: names of hosts, all if not said.
        """
        faults: list[str] = []
        labelled = {name: host for name, host in self.hosts.items() if host.labels.issuperset(labels)}
        for name in able(labelled, arch=arch) if arch else labelled:
            if name in self.engines and (among is None or name in among):
                state = self.look(name)
                if not state.is_away:
                    return name
                faults.append(state.fault)
        why = "; ".join(faults) or "no host can build it"
        raise EngineError(why, hint="is the engine running, and may this user use it?")

    def running_on(self, arch: str) -> tuple[str, ...]:
        """The engines whose own architecture it is."""
        return tuple(name for name in self.engines if self.hosts[name].arch == arch)

    def runs_on(self, kernel: Kernel) -> str:
        """The architecture that a build for this kernel runs on, as a rule: that of the best host that is not away."""
        names = (name for name in able(self.hosts, arch=kernel.target.arch) if not self.is_away(name))
        arches = (self.hosts[name].arch for name in names)
        return next((arch for arch in arches if kernel.can_be_built_on(arch)), BUILD_ARCH)

    def tags(self) -> frozenset[str]:
        """Every image that an engine has which answers. Raises EngineError if none does."""
        well = [name for name in self.engines if not self.is_away(name)] or list(self.engines)
        with ThreadPoolExecutor(len(well)) as pool:
            states = list(pool.map(self.look, well))
        if all(state.is_away for state in states):
            raise EngineError("; ".join(state.fault for state in states), hint="no Docker engine answers")
        return frozenset().union(*(state.last.images for state in states if not state.is_away))

    def sizes(self) -> dict[str, int]:
        """Every image that an engine has, with bytes. Raises EngineError if one of them does not answer."""
        with ThreadPoolExecutor(len(self.engines)) as pool:
            found = list(pool.map(Engine.sizes, self.engines.values()))
        return {tag: size for sizes in found for tag, size in sizes.items()}

    def containers(self) -> int:
        """How many containers this farm has, pods too, on every host that answers. Raises EngineError if none does."""
        self.tags()
        return sum(each.containers() for name, each in self._all.items() if not self.is_away(name))

    def remove_image(self, tag: str) -> bool:
        """Takes an image away from every engine; False if a container uses it somewhere. Raises EngineError."""
        gone = [engine.remove_image(tag) for engine in self.engines.values()]
        return all(gone)

    def answer(self, name: str) -> Answer:
        """Raises EngineError."""
        state = self.look(name)
        if state.is_away:
            raise EngineError(state.fault)
        return state.last

    def labelled(self, farm: str) -> "Engines":
        """The same, for containers of another farm."""
        engines = {name: replace(engine, farm=farm) for name, engine in self.engines.items()}
        clusters = {name: replace(cluster, farm=farm) for name, cluster in self.clusters.items()}
        return replace(self, engines=engines, clusters=clusters)

    def sweep(
        self, *, keep: Callable[[str], bool] = lambda _: False, bundle: Callable[[str], Path] | None = None
    ) -> int:
        """As `Engine.sweep`, on every host that is not known to be away. Raises EngineError when all were asked.

        bundle: the worker bundle of an architecture.
        """
        well = [each for name, each in self._all.items() if not self.is_away(name)]
        if not well:
            return 0
        with ThreadPoolExecutor(len(well)) as pool:
            sweeps = [pool.submit(each.sweep, keep=keep, bundle=bundle(each.arch) if bundle else None) for each in well]
        return sum(sweep.result() for sweep in sweeps)


def engines_of(hosts: Mapping[str, Host], farm: str) -> Engines:
    """farm: names whose containers are made and swept."""
    engines = {
        name: Engine(
            docker_host=host.docker_host, farm=farm, tls=host.tls, same_machine=host.same_machine, arch=host.arch
        )
        for name, host in hosts.items()
        if host.cluster is None
    }
    clusters = {
        name: Cluster(at=host.cluster, farm=farm, arch=host.arch)
        for name, host in hosts.items()
        if host.cluster is not None
    }
    return Engines(hosts=hosts, engines=engines, clusters=clusters)
