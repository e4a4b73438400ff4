"""A farm: the configuration with everything it names, opened. The master and the command line share it.

Knows no Buildbot. Everything here may block and is called in a thread by `bot`.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from . import sandbox
from .bucket import Bucket
from .distros import layout_of
from .engines import Engines
from .errors import BuildImpossible, EngineError
from .history import History
from .images import Recipe, natively
from .ledger import Ledger
from .matrix import Entry, entry, no_toolchain
from .model import BUILD_ARCH, BuildId, Hold, ModuleVersion, Outcome, Status, input_key
from .paths import Paths
from .planning import Planner
from .products import Job, Publisher
from .quantities import growing
from .registry import Registry
from .runstore import RunStore
from .schema import Scope
from .search import find_kernel, find_module
from .settings import Settings
from .sources import GitSource, resolve
from .store import Store
from .supply import Supply
from .watch import Watch
from .where import limits_of, source_of
from .workerbundles import WorkerBundles

# seconds until a build that the farm failed is tried again: the first time, and at most
_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0


@dataclass(slots=True, kw_only=True, repr=False)
class Farm:
    """Opened once per configuration; see `opening`."""

    settings: Settings
    scope: Scope
    paths: Paths
    store: Store
    bucket: Bucket
    engines: Engines
    supply: Supply
    publisher: Publisher
    watch: Watch
    recipes: Mapping[str, Recipe]
    """by toolchain: what builds are named by, wherever they run"""
    images: Mapping[str, Recipe]
    """every image that hosts need, by short name"""
    bundles: WorkerBundles
    registry: Registry
    runs: RunStore
    history: History
    planner: Planner
    _cores: dict[str, int] = field(default_factory=dict)
    _ended: Counter[str] = field(default_factory=Counter)
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def __repr__(self) -> str:
        # Buildbot writes whatever holds a lock into its log, and with it all that this holds
        return f"<farm on {self.paths.state}>"

    @property
    def ended(self) -> dict[str, int]:
        """How many builds have ended since this was opened, by status."""
        with self._counting:
            return dict(self._ended)

    def compiles(self, host: str) -> int:
        """Builds that may compile at once on a host."""
        workers = self.settings.build_hosts[host].workers
        if workers != "auto":
            return workers
        # asked once: this is read where nothing may wait for an engine
        if host not in self._cores:
            self._cores[host] = self._size(host)
        return self._cores[host]

    def _size(self, host: str) -> int:
        """The cores of a host; what they were, of one that does not answer. Raises EngineError for the only one."""
        note = f"host-cores/{host}"
        try:
            cores = self.engines.answer(host).cores
        except EngineError:
            known = self.store.meta(note)
            if not known and len(self.engines.hosts) == 1:
                raise
            # one that never answered is not to keep the others from starting
            return int(known or 1)
        self.store.put_meta(note, str(cores))
        return cores

    def workers(self, host: str) -> int:
        """Builds at once on a host, and so sandboxes. Those that do not compile wait for disk, engine, bucket."""
        compiles = self.compiles(host)
        return 2 * compiles if self.settings.build_hosts[host].workers == "auto" else compiles

    @property
    def slots(self) -> int:
        """Builds at once, on all hosts."""
        return sum(self.workers(host) for host in self.engines)

    @property
    def chunk_length(self) -> int:
        """Builds of a chunk, and how many may be in Buildbot's queue at once: it slows down with thousands."""
        return 4 * self.slots

    def ledger(self) -> Ledger:
        """A ledger of this farm's runs, for the master: one at a time."""
        return Ledger(
            store=self.store, runs=self.runs, bucket=self.bucket, slots=self.slots, chunk_length=self.chunk_length
        )

    def limits(self, module: str = "") -> sandbox.Limits:
        """What a build of this module may use, or what any may."""
        return limits_of(self.settings, module)

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
                cause=_printable(cause),
                module_version=job.module.version,
                kernel_version=job.entry.kernel.version,
                finished=now,
                seconds=now - began,
                make_seconds=make_seconds,
                build_url=url,
                manifest=manifest,
                image=job.image.rpartition(":")[2],
            )
            self.store.put_outcome(outcome)
            self.runs.release([job.entry.build_id])
            with self._counting:
                self._ended[status] += 1

    def hold(self, job: Job, reason: str) -> None:
        """Writes down that the farm failed a build: it is due again after a pause, longer each time."""
        if job.is_current:
            now, before = time.time(), self.runs.hold(job.entry.build_id)
            tries = 1 + (before.tries if before and before.key == job.key else 0)
            until = now + growing(_PAUSE, tries, _LONGEST_PAUSE)
            self._put_hold(job, reason, noted=now, tries=tries, until=until)

    def hold_cancelled(self, job: Job, reason: str) -> None:
        """Writes down that somebody cancelled a build: it is due again when a person asks for it."""
        if job.is_current:
            self._put_hold(job, reason, noted=time.time())

    def _put_hold(self, job: Job, reason: str, *, noted: float, tries: int = 0, until: float = math.inf) -> None:
        hold = Hold(
            build_id=job.entry.build_id, key=job.key, reason=_printable(reason), noted=noted, tries=tries, until=until
        )
        self.runs.put_holds([hold])

    def has_image(self, tag: str, host: str) -> None:
        """Has an image at hand for a host that was made before. Raises EngineError if it never was."""
        if host in self.engines.clusters:
            self.registry.reference(tag)
        else:
            self.supply.images.load(tag, host)

    def make_image(self, toolchain: str, host: str) -> None:
        """The same, made if need be. Raises KmodciError."""
        arch = self.engines.hosts[host].arch
        self.supply.images.make(toolchain, lambda _: None, "" if host in self.engines.clusters else host, arch=arch)

    def entry(self, module: str, kernel: str) -> Entry:
        """The entry for a module and a kernel (`release` or `target/release`). Raises NotFound with the nearest."""
        find_module(module, self.settings.modules)
        entries = {str(entry.kernel): entry for entry in self.planner.entries() if entry.build_id.module == module}
        return find_kernel(kernel, entries, among=f"is in the matrix of {module}")

    def job(self, build_id: str, ref: str = "", host: str = "") -> Job:
        """All that a build is made of. ref: a tag, branch or commit of a git module to build instead; host: where it
        runs, if that is known."""
        wanted = BuildId.parse(build_id)
        entry = self.entry(wanted.module, f"{wanted.target}/{wanted.release}")
        current = self.store.module_version(wanted.module)
        module = self._at_ref(wanted.module, ref) if ref else current
        if module is None:
            raise BuildImpossible(f"the source of {wanted.module} has not been read yet", hint="its poller says why")
        # a ref may lead to where the source is anyway
        same = current is not None and (module.version, module.digest) == (current.version, current.digest)
        runs_on = self.engines.hosts[host].arch if host else BUILD_ARCH
        return self.job_of(entry, module, is_current=same, runs_on=runs_on)

    def job_of(self, entry: Entry, module: ModuleVersion, *, is_current: bool, runs_on: str = BUILD_ARCH) -> Job:
        """The same for a kernel that need not be in scope, and a version that need not be the module's own.

        Its key names the usual image, and the packages that go with that, on whatever host it is built: one that comes
        or goes is no reason to build anything again.
        """
        settings = self.settings.modules[module.module]
        made = self.recipes.get(entry.toolchain)
        if made is None:
            raise BuildImpossible(no_toolchain(entry.kernel))
        if not entry.kernel.can_be_built_on(runs_on):
            raise BuildImpossible(f"of {entry.kernel} no header packages are known for a machine of {runs_on}")
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
            image=natively(made, runs_on).tag,
            environment=sandbox.build_environment(
                release=entry.kernel.release,
                layout=layout_of(entry.kernel),
                arch=entry.kernel.target.arch,
                toolchain=entry.toolchain,
                module=module.module,
                version=module.version,
                recipe={name: value for name, value in recipe_variables.items() if value},
                limits=self.limits(module.module),
            ),
            is_current=is_current,
            runs_on=runs_on,
        )

    def job_as_learned(self, job: Job) -> Job:
        """The same job, with the compiler that the headers were found to name since it was made, if they do.

        Raises BuildImpossible where there is no image for that.
        """
        kernel = self.store.as_learned(job.entry.kernel)
        if kernel == job.entry.kernel:
            return job
        again = entry(job.entry.build_id, kernel, self.recipes)
        return self.job_of(again, job.module, is_current=job.is_current, runs_on=job.runs_on)

    def _at_ref(self, module: str, ref: str) -> ModuleVersion:
        source = source_of(self.settings.modules[module])
        if not isinstance(source, GitSource):
            raise BuildImpossible(f"{module} is not from git, so it has no {ref!r}", hint="leave the version empty")
        return resolve(module, replace(source, ref=ref, tags=""))

    def is_built(self, job: Job) -> bool:
        """Whether this very build is in the bucket."""
        outcome = self.store.outcome(job.entry.build_id)
        return outcome is not None and outcome.status is Status.BUILT and outcome.key == job.key


def _printable(text: str) -> str:
    """It may be a module's own words, and is printed on terminals."""
    return "".join(c if c.isprintable() else "?" for c in text[:500])
