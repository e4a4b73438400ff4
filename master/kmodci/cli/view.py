"""What the commands look at: the configuration, and what a farm remembers, or what the repositories say now.

Reads only: neither the store nor the bucket of a farm is changed, and none needs to be running.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from ..coverage import Standing, standings
from ..errors import KmodciError
from ..explanation import Known
from ..fetch import Fetcher
from ..images import Recipe, recipe
from ..matrix import Entry, Planned, keys, plan, select
from ..schema import Scope
from ..selectors import matches
from ..settings import Settings, load
from ..store import Store
from ..watch import Watch
from ..where import packages, repositories
from .output import note


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A farm as it is remembered, or as it would begin."""

    settings: Settings
    scope: Scope
    store: Store
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
        )

    def planned(self) -> tuple[Planned, ...]:
        versions, outcomes = self.store.module_versions(), self.store.outcomes()
        return plan(self.entries(), versions, outcomes, self.recipes, self.settings.modules)

    def standings(self) -> tuple[Standing, ...]:
        entries = self.entries()
        known = keys(entries, self.store.module_versions(), self.recipes, self.settings.modules)
        return standings(entries, self.store.outcomes(), known)

    def known(self) -> Known:
        """For explanations."""
        return Known(
            kernels=self.store.kernels(),
            modules=self.settings.modules,
            entries=self.entries(),
            versions=self.store.module_versions(),
            outcomes=self.store.outcomes(),
            recipes=self.recipes,
        )


def open_view(config: Path, scope: str = "", *, fresh: bool = False, whole: bool = False) -> View:
    """fresh: look at the repositories now; that is also done where no farm has looked yet. whole: at those, too,
    that the scope does not need.

    Raises SettingsError, NotFound, StoreError; a source that cannot be read is in `faults`.
    """
    settings = load(config)
    wanted = settings.find_scope(scope)
    remembered = None if fresh else _remembered(settings)
    store = remembered or Store("sqlite://")
    if remembered is None:
        store.create()
        faults = _look(settings, Scope() if whole else wanted, store)
    else:
        faults = {name: state.error for name, state in store.repository_states().items() if state.error}
    recipes = {name: recipe(name, distro=each.distro, series=each.series) for name, each in settings.toolchains.items()}
    return View(settings=settings, scope=wanted, store=store, recipes=recipes, faults=faults, looked=remembered is None)


def end(view: View) -> NoReturn:
    """Ends a command: tells what could not be read, so that it is not taken for empty; that failed if it was now."""
    for name, fault in view.faults.items():
        note(f"could not read {name}: {fault}")
    sys.exit(1 if view.looked and view.faults else 0)


def _remembered(settings: Settings) -> Store | None:
    """The farm's store, or None if no farm has found a kernel yet."""
    if settings.database is None and not (settings.state / "kmodci.sqlite").exists():
        return None
    store = Store(settings.database_url)
    return store if store.kernels() else None


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
                faults[name] = error.brief
        for name in settings.modules:
            if name not in elsewhere and matches(name, scope.modules):
                status.update(f"looking at the source of {name}")
                try:
                    if version := watch.look_at_module(name):
                        store.put_module_version(version)
                except KmodciError as error:
                    faults[name] = error.brief
    return faults
