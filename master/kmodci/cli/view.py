"""What the commands look at: the configuration, and what a farm remembers, or what the repositories say now.

Reads only: neither the store nor the bucket of a farm is changed, and none needs to be running.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from ..acceptance import Acceptances
from ..coverage import Standing, standings
from ..errors import KmodciError
from ..explanation import Known
from ..fetch import Fetcher
from ..images import Recipe
from ..matrix import Entry, Planned, keys, plan, select
from ..model import BuildId, Hold, Kernel, Outcome
from ..paths import Paths
from ..runstore import RunStore
from ..schema import Scope
from ..search import find_build, find_module, find_target
from ..selectors import matches
from ..settings import Settings, load
from ..sourceview import SourceView
from ..store import Store
from ..survey import survey
from ..watch import Watch, bundle_of, bundled
from ..where import followed, packages, recipes_of, repositories
from .output import note
from .remembered import farm_store


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A farm as it is remembered, or as it would begin."""

    settings: Settings
    scope: Scope
    store: Store
    """for kernels and module versions"""
    farm: Store | None
    """for how builds ended: a farm's; None where none has run"""
    recipes: Mapping[str, Recipe]
    faults: Mapping[str, str]
    """source -> why it could not be read, when it was last tried"""
    looked: bool
    """whether that was now"""

    def entries(self) -> tuple[Entry, ...]:
        return select(
            self.store.kernels().values(),
            self.settings.modules,
            self.scope,
            self.settings.known_failures,
            toolchains=self.recipes,
            today=datetime.now(UTC).date(),
            bundled=bundled(self.farm) if self.farm else frozenset(),
        )

    def planned(self) -> tuple[Planned, ...]:
        entries, versions = self.entries(), self.store.module_versions()
        named = keys(entries, versions, self.recipes, self.settings.modules)
        return plan(entries, named, versions, self.outcomes(), self.recipes, now=time.time(), holds=self.holds())

    def standings(self) -> tuple[Standing, ...]:
        entries = self.entries()
        known = keys(entries, self.store.module_versions(), self.recipes, self.settings.modules)
        return standings(entries, self.outcomes(), known)

    def outcomes(self) -> dict[str, Outcome]:
        """By build id."""
        return self.farm.outcomes() if self.farm else {}

    def holds(self) -> dict[str, Hold]:
        """By build id."""
        return RunStore(self.farm).holds() if self.farm else {}

    def sources(self) -> tuple[SourceView, ...]:
        """How the last looks at each source went."""
        acceptances = Acceptances(Paths(self.settings.state).accepted) if self.farm and not self.looked else None
        return survey(self.settings, self.scope, self.store, acceptances)

    def bundle(self, kernel: Kernel) -> str:
        """SHA256 of a kernel's header bundle; empty if none was made."""
        return bundle_of(self.farm, kernel) if self.farm else ""

    def known(self) -> Known:
        """For explanations."""
        return Known(
            kernels=self.store.kernels(),
            modules=self.settings.modules,
            entries=self.entries(),
            versions=self.store.module_versions(),
            outcomes=self.outcomes(),
            recipes=self.recipes,
            holds=self.holds(),
            now=time.time(),
        )


def open_view(config: Path, scope: str = "", *, fresh: bool = False, whole: bool = False) -> View:
    """fresh: look at the repositories now; that is also done where no farm has looked yet. whole: at those, too,
    that the scope does not need.

    Raises SettingsError, NotFound, StoreError; a source that cannot be read is in `faults`.
    """
    settings = load(config)
    wanted, farm = settings.find_scope(scope), farm_store(settings)
    if farm is not None and not fresh and farm.kernels():
        return _remembered(settings, wanted, farm)
    return _looked(settings, wanted, farm, Scope() if whole else wanted)


def open_view_of(config: Path, build_id: str, *, fresh: bool = False) -> tuple[View, BuildId]:
    """For one build, of whatever scope: where a farm does not know it, the repositories that may are looked at now.

    Raises SettingsError, StoreError, BadName; NotFound with the nearest.
    """
    settings = load(config)
    wanted, farm = BuildId.parse(build_id), farm_store(settings)
    find_module(wanted.module, settings.modules)
    find_target(str(wanted.target), [str(target) for entry in settings.targets for target in entry.targets])
    if farm is not None and not fresh and _knows(farm, wanted):
        return _remembered(settings, Scope(), farm), wanted
    scope = Scope(modules=(wanted.module,), kernels=(f"{wanted.target}/*",))
    view = _looked(settings, scope, farm, scope)
    tell_faults(view)
    return view, find_build(build_id, settings.modules, view.store.kernels())


def tell_faults(view: View) -> None:
    """What could not be read, so that it is not taken for empty."""
    for name, fault in view.faults.items():
        note(f"could not read {name}: {fault}")


def end(view: View) -> NoReturn:
    """Ends a command: tells what could not be read; that failed if it was now."""
    tell_faults(view)
    sys.exit(1 if view.looked and view.faults else 0)


def _knows(farm: Store, build_id: BuildId) -> bool:
    is_listed = f"{build_id.target}/{build_id.release}" in farm.kernels()
    return is_listed and farm.module_version(build_id.module) is not None


def _remembered(settings: Settings, scope: Scope, farm: Store) -> View:
    sources = {*followed(settings), *settings.modules}
    states = farm.repository_states().items()
    faults = {name: state.error for name, state in states if state.error and name in sources}
    return View(
        settings=settings,
        scope=scope,
        store=farm,
        farm=farm,
        recipes=recipes_of(settings),
        faults=faults,
        looked=False,
    )


def _looked(settings: Settings, scope: Scope, farm: Store | None, at: Scope) -> View:
    """at: what is looked at, which may be more than is in scope."""
    store = Store("sqlite://")
    store.create()
    faults = _look(settings, at, store)
    return View(
        settings=settings,
        scope=scope,
        store=store,
        farm=farm,
        recipes=recipes_of(settings),
        faults=faults,
        looked=True,
    )


def _look(settings: Settings, scope: Scope, store: Store) -> dict[str, str]:
    """Fills the store by looking at everything once. Returns what could not be read, and why."""
    faults: dict[str, str] = {}
    packaged = packages(settings, scope)
    watch = Watch(
        settings=settings,
        store=store,
        fetcher=Fetcher(),
        repositories=repositories(settings, scope),
        packages=packaged,
    )
    elsewhere = {module for names in packaged.values() for module in names.values()}
    with Console(stderr=True).status("") as status:
        for name in watch.repositories:
            status.update(f"looking at {name}")
            try:
                watch.remember(watch.look(name))
            except KmodciError as error:
                watch.note_fault(name, error)
                faults[name] = error.brief
        for name in settings.modules:
            if name not in elsewhere and matches(name, scope.modules):
                status.update(f"looking at the source of {name}")
                try:
                    if version := watch.look_at_module(name):
                        watch.remember_module(version)
                except KmodciError as error:
                    watch.note_fault(name, error)
                    faults[name] = error.brief
    return faults
