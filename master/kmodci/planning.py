"""The plan of a farm: what there is, how it stands, what can be built now, and what the rest waits for."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from .coverage import Standing, standings
from .engines import Engines
from .hosts import Host, Room, able, choose
from .images import Recipe, lost_note, short_name
from .matrix import Entry, Planned, former_keys, keys, plan, select
from .model import BUILD_ARCH, BuildId, Hold, Kernel, ModuleVersion, Outcome
from .runstore import RunStore
from .schema import Scope
from .selectors import matches
from .settings import Settings
from .store import Store
from .watch import Watch, bundled
from .workerbundles import WorkerBundles

_IMAGE_RETRY = 600.0
_UNREAD = "the module's source has not been read"
# A build that the farm has failed so often in a row is not waited for any more, though it is still tried.
_PATIENCE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One look at all of it. By build id where it is a mapping or a set."""

    builds: tuple[Standing, ...] = ()
    kernels: Mapping[str, Kernel] = field(default_factory=dict)
    """every kernel that is known, in the matrix or not, by `target/release`"""
    versions: Mapping[str, ModuleVersion] = field(default_factory=dict)
    """by module"""
    keys: Mapping[str, str] = field(default_factory=dict)
    """what names the inputs of each"""
    due: tuple[Planned, ...] = ()
    """what can be built now, or as soon as its image is there"""
    wanted: Mapping[str, str] = field(default_factory=dict)
    """the key of each that is to be built, also of those that cannot be now"""
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    """what it was made from, and is to be looked at with: a build may have ended since"""
    holds: Mapping[str, Hold] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)
    """the keys that some had until the headers of their kernels told the compiler (`matrix.former_keys`)"""
    missing_images: tuple[str, ...] = ()
    """by short name, those that something due could be built in"""
    imageless: frozenset[str] = frozenset()
    """those of the due that none of their images is there for"""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """what each waits for, of those that wait for more than their turn"""
    stuck: frozenset[str] = frozenset()
    """those of the waiting that nobody should wait for"""
    is_whole: bool = False
    """False while a source was not read even once: which kernels are the newest is not known then"""

    @property
    def entries(self) -> list[Entry]:
        return [build.entry for build in self.builds]

    @property
    def skipped(self) -> dict[str, str]:
        """Why some are not to be built; by build id."""
        return {str(entry.build_id): entry.skipped for entry in self.entries if entry.skipped}

    @property
    def ready(self) -> dict[str, Planned]:
        """Of the due, those whose image is there; by build id."""
        return {name: p for p in self.due if (name := str(p.entry.build_id)) not in self.imageless}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the last plan saw, for who may not ask."""

    kernels: Mapping[str, Kernel] = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()
    """short names of images"""
    bundled: frozenset[str] = frozenset()
    """digests of header packages"""

    def lacks(self, kernel: Kernel | None, arch: str) -> bool:
        """Whether there are no headers for a machine of that architecture, nor packages to make them of any more."""
        return kernel is not None and kernel.gone > 0 and kernel.on(arch).headers_digest not in self.bundled


@dataclass(slots=True, kw_only=True)
class Planner:
    """Makes plans. Reads the store and asks the engine for its images; may raise StoreError and EngineError."""

    settings: Settings
    scope: Scope
    store: Store
    runs: RunStore
    engines: Engines
    watch: Watch
    recipes: Mapping[str, Recipe]
    """by toolchain"""
    images: Mapping[str, Recipe]
    """by short name"""
    bundles: WorkerBundles
    _kernel_names: tuple[str, ...] = ()
    _seen: Seen = Seen()

    @property
    def polled_modules(self) -> tuple[str, ...]:
        """The modules in scope that no repository packages."""
        packaged = {name for modules in self.watch.packages.values() for name in modules.values()}
        return tuple(n for n in self.settings.modules if n not in packaged and matches(n, self.scope.modules))

    @property
    def kernel_names(self) -> tuple[str, ...]:
        """`target/release` of every kernel of the last plan, without asking the store."""
        return self._kernel_names

    def unread(self, *, since: float = 1.0) -> tuple[str, ...]:
        """The sources in scope that were not looked at since (seconds since the epoch); at first, never."""
        states = self.store.repository_states()
        sources = (*self.watch.repositories, *self.polled_modules)
        return tuple(name for name in sources if name not in states or states[name].last_try < since)

    def entries(self) -> tuple[Entry, ...]:
        """The matrix as it is now."""
        return self._entries(self.store.kernels(), bundled(self.store))

    def _entries(self, kernels: Mapping[str, Kernel], bundled: frozenset[str]) -> tuple[Entry, ...]:
        return select(
            kernels.values(),
            self.settings.modules,
            self.scope,
            self.settings.known_failures,
            toolchains=self.recipes,
            today=datetime.now(UTC).date(),
            bundled=bundled,
        )

    def plan(self) -> Plan:
        """What is still to be built, and why."""
        # until all sources were read once, which kernels are the newest is not known;
        # asked first, because what is read after the entries were taken is not among them
        is_first_look = bool(self.unread())
        kernels, versions, modules = self.store.kernels(), self.store.module_versions(), self.settings.modules
        there = bundled(self.store)
        entries = self._entries(kernels, there)
        self._kernel_names = tuple(dict.fromkeys(str(entry.kernel) for entry in entries))
        outcomes = self.store.outcomes()
        named, former = (names(entries, versions, self.recipes, modules) for names in (keys, former_keys))
        holds = {name: _as_named(hold, named, former) for name, hold in self.runs.holds().items()}
        planned = plan(entries, named, versions, outcomes, self.recipes, now=time.time(), holds=holds)
        lacking = self._lacking()
        images = {str(p.entry.build_id): self._images(p.entry) for p in planned}
        self._seen = Seen(kernels=kernels, lacking=frozenset(lacking), bundled=there)
        waiting = {str(e.build_id): _UNREAD for e in entries if not e.skipped and e.build_id.module not in versions}
        waiting |= {name: fault for name, of in images.items() if (fault := _fault(of, lacking))}
        stuck = set(waiting)
        for each in planned:
            name = str(each.entry.build_id)
            hold = holds.get(name)
            if hold and hold.key == each.key and hold.until > time.time():
                waiting[name] = hold.reason
                if not 0 < hold.tries <= _PATIENCE:
                    stuck.add(name)
        due = tuple(p for p in planned if str(p.entry.build_id) not in waiting and not is_first_look)
        usable = {str(p.entry.build_id): images[str(p.entry.build_id)] for p in due}
        # what may have to be emulated takes longest, and its builds can do without
        wanted = sorted({image for of in usable.values() for image in of}, key=self._by_arch)
        return Plan(
            builds=standings(entries, outcomes, named),
            kernels=kernels,
            versions=versions,
            keys=named,
            due=due,
            wanted={str(p.entry.build_id): p.key for p in planned},
            outcomes=outcomes,
            holds=holds,
            former=former,
            missing_images=tuple(image for image in wanted if lacking.get(image) == ""),
            imageless=frozenset(name for name, of in usable.items() if lacking.keys() >= {*of}),
            waiting=waiting,
            stuck=frozenset(stuck),
            is_whole=not is_first_look,
        )

    def _images(self, entry: Entry) -> tuple[str, ...]:
        """Short names of those that a build can run in: of the hosts that are not away, if not all of them are."""
        names = able(
            self.fitting(entry.kernel),
            arch=entry.kernel.target.arch,
            labels=self.settings.labels_of(entry.build_id.module),
        )
        arches = [self.engines.hosts[name].arch for name in names if not self.engines.is_away(name)]
        arches = arches or [self.engines.hosts[name].arch for name in names]
        return tuple(dict.fromkeys(short_name(entry.toolchain, arch) for arch in arches))

    def _by_arch(self, image: str) -> tuple[bool, str]:
        return self.images[image].arch != BUILD_ARCH, image

    def fitting(self, kernel: Kernel | None) -> Mapping[str, Host]:
        """The hosts that a kernel's header packages are known for; all, of a kernel that is not known itself."""
        hosts = self.engines.hosts
        return {name: host for name, host in hosts.items() if kernel is None or kernel.can_be_built_on(host.arch)}

    def host_for(self, build_id: BuildId, toolchain: str, rooms: Mapping[str, Room]) -> str | None:
        """The host that a build goes to now, by what was seen at the last plan. Asks nobody.

        Hosts whose image or headers have yet to be made are left to the builds for which there is no other.
        """
        kernel = self._seen.kernels.get(f"{build_id.target}/{build_id.release}")
        lacking = (
            name
            for name, host in self.engines.hosts.items()
            if short_name(toolchain, host.arch) in self._seen.lacking or self._seen.lacks(kernel, host.arch)
        )
        return choose(
            self.fitting(kernel),
            rooms,
            arch=build_id.target.arch,
            labels=self.settings.labels_of(build_id.module),
            lacking=[*lacking],
        )

    def _lacking(self) -> dict[str, str]:
        """The short names of images that no host has, or one lacks that the bucket lacks too; with why it is not made.

        A worker of another architecture takes as long to make as an image, so that goes together.
        """
        tags = {name: made.tag for name, made in self.images.items()}
        there = self.engines.tags() - {tag for tag in tags.values() if self.store.meta(lost_note(tag))}
        others = {made.arch for made in self.images.values()} - {BUILD_ARCH}
        workerless = {arch for arch in others if not self.bundles.place(arch).exists()}
        return {
            name: self._image_fault(name)
            for name, made in self.images.items()
            if tags[name] not in there or made.arch in workerless
        }

    def note_image_fault(self, image: str, error: str) -> None:
        """The image could not be made; tried again after a while."""
        self.store.put_meta(f"image-fault/{image}", f"{time.time():.0f} {error}" if error else "")

    def _image_fault(self, image: str) -> str:
        when, _, error = self.store.meta(f"image-fault/{image}").partition(" ")
        return f"no image for {image}: {error}" if when and time.time() - float(when) < _IMAGE_RETRY else ""

    def forget_faults(self) -> None:
        """At a start: what failed because of the farm is tried again at once."""
        self.runs.make_due(time.time())
        for image in self.images:
            self.note_image_fault(image, "")


def _fault(images: Collection[str], lacking: Mapping[str, str]) -> str:
    """Why a build cannot run in any of these images; empty if it can, or may as soon as one is made."""
    if not images:
        return "no host can build it"
    faults = [lacking.get(image, "") for image in images]
    return faults[0] if all(faults) else ""


def _as_named(hold: Hold, named: Mapping[str, str], former: Mapping[str, str]) -> Hold:
    """What held a build before its kernel's headers told the compiler holds it after."""
    name = str(hold.build_id)
    return replace(hold, key=named[name]) if hold.key == former.get(name) and name in named else hold
