"""A farm: the configuration with everything it names, opened. The master and the command line share it.

Knows no Buildbot. Everything here may block and is called in a thread by `bot`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from . import sandbox
from .bucket import Bucket
from .coverage import Standing, standings
from .engine import Engine
from .errors import BuildImpossible
from .images import Recipe
from .matrix import Entry, Planned, keys, plan, select
from .model import BuildId, ModuleVersion, Outcome, Status, input_key
from .paths import Paths
from .products import Job, Publisher
from .schema import Scope
from .search import find_kernel, find_module
from .selectors import matches
from .settings import Settings
from .sources import GitSource, resolve
from .store import Store
from .supply import Supply
from .watch import Watch
from .where import source_of
from .workerbundle import make_bundle

# Marks a failure that is the farm's, not the module's; such a build is tried again at the next start.
FARM_FAULT = "farm:"
_IMAGE_RETRY = 600.0
_UNREAD = "the module's source has not been read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What there is, how it stands, what can be built now, and what has to be there before the rest can."""

    builds: tuple[Standing, ...] = ()
    ready: tuple[Planned, ...] = ()
    missing_images: tuple[str, ...] = ()
    """toolchains"""
    stuck: Mapping[str, str] = field(default_factory=dict)
    """build id -> what it waits for, of those that wait for more than their turn"""

    @property
    def entries(self) -> list[Entry]:
        return [build.entry for build in self.builds]


@dataclass(slots=True, kw_only=True)
class Farm:
    """Opened once per configuration; see `opening`."""

    settings: Settings
    scope: Scope
    paths: Paths
    store: Store
    bucket: Bucket
    engine: Engine
    supply: Supply
    publisher: Publisher
    watch: Watch
    recipes: Mapping[str, Recipe]
    _last: Plan = Plan()
    _cores: int = 0

    @property
    def compiles(self) -> int:
        """Builds that may compile at once."""
        workers = self.settings.engine.workers
        if workers == "auto":
            # asked once: this is read where nothing may wait for an engine
            self._cores = self._cores or self.engine.cores()
            return self._cores
        return workers

    @property
    def slots(self) -> int:
        """Builds at once, and so sandboxes. Those that do not compile wait for the disk, the engine, the bucket."""
        return 2 * self.compiles if self.settings.engine.workers == "auto" else self.compiles

    @property
    def queue_length(self) -> int:
        """How many builds may be in Buildbot's queue at once; it slows down with thousands."""
        return 4 * self.slots

    @property
    def polled_modules(self) -> tuple[str, ...]:
        """The modules in scope that no repository packages."""
        packaged = {name for modules in self.watch.packages.values() for name in modules.values()}
        return tuple(n for n in self.settings.modules if n not in packaged and matches(n, self.scope.modules))

    @property
    def worker_bundle(self) -> Path:
        """The folder that is mounted into containers as the worker; made on first use."""
        return make_bundle(self.paths.workers)

    def limits(self, module: str = "") -> sandbox.Limits:
        """What a build of this module may use, or what any may."""
        limits = self.settings.limits_of(module)
        return sandbox.Limits(
            memory=limits.memory,
            disk=limits.disk,
            processes=limits.processes,
            seconds=int(limits.time),
            output=limits.output,
        )

    def entries(self) -> tuple[Entry, ...]:
        """The matrix as it is now."""
        return select(
            self.store.kernels().values(),
            self.settings.modules,
            self.scope,
            self.settings.known_failures,
            toolchains=self.recipes,
            today=datetime.now(UTC).date(),
        )

    def plan(self) -> Plan:
        """What is still to be built, and why."""
        # until all sources were read once, which kernels are the newest is not known;
        # asked first, because what is read after the entries were taken is not among them
        is_first_look = bool(self.unread())
        entries = self.entries()
        versions, outcomes, modules = self.store.module_versions(), self.store.outcomes(), self.settings.modules
        planned = plan(entries, versions, outcomes, self.recipes, modules)
        tags = self.engine.tags()
        lacking = {toolchain for toolchain, made in self.recipes.items() if made.tag not in tags}
        faults = {toolchain: fault for toolchain in lacking if (fault := self._image_fault(toolchain))}
        stuck = {str(e.build_id): _UNREAD for e in entries if not e.skipped and e.build_id.module not in versions}
        stuck |= {str(p.entry.build_id): f for p in planned if (f := faults.get(p.entry.kernel.toolchain))}
        can = [p for p in planned if str(p.entry.build_id) not in stuck]
        needed = dict.fromkeys(p.entry.kernel.toolchain for p in can)
        self._last = Plan(
            builds=standings(entries, outcomes, keys(entries, versions, self.recipes, modules)),
            ready=tuple(p for p in can if p.entry.kernel.toolchain not in lacking and not is_first_look),
            missing_images=tuple(toolchain for toolchain in needed if toolchain in lacking and not is_first_look),
            stuck=stuck,
        )
        return self._last

    def unread(self, *, since: float = 1.0) -> tuple[str, ...]:
        """The sources in scope that were not looked at since (seconds since the epoch); at first, never."""
        states = self.store.repository_states()
        sources = (*self.watch.repositories, *self.polled_modules)
        return tuple(name for name in sources if name not in states or states[name].last_try < since)

    def conclude(
        self,
        job: Job,
        status: Status,
        cause: str = "",
        *,
        began: float,
        make_seconds: float = 0.0,
        url: str = "",
        manifest: str = "",
    ) -> None:
        """Writes down how a build ended, unless its version was asked for by hand. began: seconds since the epoch."""
        if job.is_current:
            now = time.time()
            outcome = Outcome(
                build_id=job.entry.build_id,
                key=job.key,
                status=status,
                # it may be a module's own words, and is printed on terminals
                cause="".join(c if c.isprintable() else "?" for c in cause[:500]),
                module_version=job.module.version,
                kernel_version=job.entry.kernel.version,
                finished=now,
                seconds=now - began,
                make_seconds=make_seconds,
                build_url=url,
                manifest=manifest,
            )
            self.store.put_outcome(outcome)

    def note_image_fault(self, toolchain: str, error: str) -> None:
        """The image could not be made; tried again after a while."""
        self.store.put_meta(f"image-fault/{toolchain}", f"{time.time():.0f} {error}" if error else "")

    def _image_fault(self, toolchain: str) -> str:
        when, _, error = self.store.meta(f"image-fault/{toolchain}").partition(" ")
        return f"no image for {toolchain}: {error}" if when and time.time() - float(when) < _IMAGE_RETRY else ""

    def forget_farm_faults(self) -> None:
        """At a start: what failed because of the farm is tried again."""
        faults = [o.build_id for o in self.store.outcomes().values() if o.cause.startswith(FARM_FAULT)]
        self.store.forget_outcomes(faults)
        for toolchain in self.recipes:
            self.note_image_fault(toolchain, "")

    def kernel_names(self) -> list[str]:
        """`target/release` of every kernel of the last plan, without asking the store."""
        return list(dict.fromkeys(str(entry.kernel) for entry in self._last.entries))

    def entry(self, module: str, kernel: str) -> Entry:
        """The entry for a module and a kernel (`release` or `target/release`). Raises NotFound with the nearest."""
        find_module(module, self.settings.modules)
        entries = {str(entry.kernel): entry for entry in self.entries() if entry.build_id.module == module}
        return find_kernel(kernel, entries, among=f"is in the matrix of {module}")

    def job(self, build_id: str, ref: str = "") -> Job:
        """All that a build is made of. ref: a tag, branch or commit of a git module to build instead."""
        wanted = BuildId.parse(build_id)
        entry = self.entry(wanted.module, f"{wanted.target}/{wanted.release}")
        module = self._at_ref(wanted.module, ref) if ref else self.store.module_version(wanted.module)
        if module is None:
            raise BuildImpossible(f"the source of {wanted.module} has not been read yet", hint="its poller says why")
        return self.job_of(entry, module, is_current=not ref)

    def job_of(self, entry: Entry, module: ModuleVersion, *, is_current: bool) -> Job:
        """The same for a kernel that need not be in scope, and a version that need not be the module's own."""
        settings = self.settings.modules[module.module]
        made = self.recipes.get(entry.kernel.toolchain)
        if made is None:
            raise BuildImpossible(f"no toolchain {entry.kernel.toolchain} in targets.yml")
        recipe_variables = {"KMODCI_BUILD": settings.build, "KMODCI_ARTIFACTS": "\n".join(settings.artifacts)}
        return Job(
            entry=entry,
            module=module,
            key=input_key(
                build_id=entry.build_id,
                module=module,
                recipe=settings.recipe_digest,
                kernel=entry.kernel,
                image=made.digest,
            ),
            image=made.tag,
            environment=sandbox.build_environment(
                release=entry.kernel.release,
                arch=entry.kernel.target.arch,
                toolchain=entry.kernel.toolchain,
                module=module.module,
                version=module.version,
                recipe={name: value for name, value in recipe_variables.items() if value},
                limits=self.limits(module.module),
            ),
            is_current=is_current,
        )

    def _at_ref(self, module: str, ref: str) -> ModuleVersion:
        source = source_of(self.settings.modules[module])
        if not isinstance(source, GitSource):
            raise BuildImpossible(f"{module} is not from git, so it has no {ref!r}", hint="leave the version empty")
        return resolve(module, replace(source, ref=ref, tags=""))

    def is_built(self, job: Job) -> bool:
        """Whether this very build is in the bucket."""
        outcome = self.store.outcome(job.entry.build_id)
        return outcome is not None and outcome.status is Status.BUILT and outcome.key == job.key
