"""The worker bundles of a farm: one for each architecture that its hosts run on."""

import platform
from dataclasses import dataclass
from pathlib import Path

from .images import Recipe, worker
from .model import BUILD_ARCH
from .repos.base import arch_of
from .settings import Settings
from .where import suites_of
from .workerbundle import bundle_name, foreign_bundle_name, make_bundle, make_foreign_bundle


@dataclass(frozen=True, slots=True)
class WorkerBundles:
    """What is mounted into containers, or sent to them, as the worker. Raises KmodciError where one cannot be made."""

    settings: Settings
    folder: Path

    def place(self, arch: str) -> Path:
        """Where it is, or will be."""
        recipe = self._recipe(arch)
        return self.folder / (foreign_bundle_name(recipe) if recipe else bundle_name())

    def made(self, arch: str = BUILD_ARCH) -> Path:
        """The same, made if it is not there yet: that of another architecture than the master's takes half a minute."""
        recipe = self._recipe(arch)
        if recipe is None:
            return make_bundle(self.folder)
        return make_foreign_bundle(self.folder, recipe, lambda: suites_of(self.settings, recipe))

    def _recipe(self, arch: str) -> Recipe | None:
        """None for the master's own architecture, whose bundle is made of the Python that runs it."""
        if arch == arch_of(platform.machine()):
            return None
        made = worker(arch, [(each.distro, each.series) for each in self.settings.targets])
        assert made is not None  # else the settings would have been refused
        return made
