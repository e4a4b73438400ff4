"""Looks at the outside: repositories for kernels and packaged modules, module sources for new versions.

What was found is handed out first and remembered after, in two calls, so that who tells others of it
can do so in between. A source that cannot be read loses nothing that is known.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from .discovery import Look, Repository, diff, look, merge
from .fetch import Fetcher
from .model import Kernel, ModuleVersion
from .settings import Settings
from .sources import packaged, resolve
from .store import RepositoryState, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one look at a repository says is new."""

    look: Look
    new: tuple[Kernel, ...] = ()
    updated: tuple[Kernel, ...] = ()
    gone: tuple[Kernel, ...] = ()
    modules: tuple[ModuleVersion, ...] = ()

    @property
    def changed(self) -> bool:
        return self.look.changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Everything raises KmodciError when a source cannot be read."""

    settings: Settings
    store: Store
    fetcher: Fetcher
    repositories: Mapping[str, Repository]
    packages: Mapping[str, Mapping[str, str]]
    """repository -> package -> the module that is made from it"""

    def look(self, name: str) -> Found:
        """Looks at one repository, by name."""
        state = self.store.repository_state(name)
        wanted = self.packages.get(name, {})
        found = look(
            self.repositories[name],
            self.fetcher,
            known_digest=state.digest,
            packages=frozenset(wanted),
            now=datetime.now(UTC),
        )
        if not found.changed:
            self._note(found)
            return Found(look=found)
        known = self.store.kernels()
        here = {str(k): k for k in known.values() if k.repository == name}
        elsewhere = [k for k in known.values() if k.repository != name]
        ours = {str(k) for k in merge([elsewhere, found.kernels]) if k.repository == name}
        news = diff(here, [k for k in found.kernels if str(k) in ours])
        return Found(
            look=found,
            new=tuple(k for k in news.new if str(k) not in known),
            updated=(*news.changed, *(k for k in news.new if str(k) in known)),
            gone=news.gone,
            modules=tuple(self._new_modules(found, wanted)),
        )

    def _new_modules(self, found: Look, wanted: Mapping[str, str]) -> list[ModuleVersion]:
        versions = [packaged(wanted[package.name], package) for package in found.packages]
        return [v for v in versions if self.store.module_version(v.module) != v]

    def remember(self, found: Found) -> None:
        """After this, the same index is no news. A kernel whose headers are kept outlives the mirror's."""
        gone = [str(kernel) for kernel in found.gone if not self.store.meta(bundle_note(kernel.headers_digest))]
        self.store.put_kernels(found.look.repository, (*found.new, *found.updated), gone)
        for module in found.modules:
            self.store.put_module_version(module)
        self._note(found.look)

    def _note(self, found: Look) -> None:
        now = time.time()
        state = RepositoryState(
            name=found.repository,
            digest=found.release_digest,
            dated=found.dated.timestamp(),
            last_ok=now,
            last_try=now,
            problems=found.problems if found.changed else self.store.repository_state(found.repository).problems,
        )
        self.store.put_repository(state)

    def note_fault(self, name: str, error: str) -> None:
        """A repository, or a module's source, could not be read now; what is known of it stays."""
        self.store.put_repository(replace(self.store.repository_state(name), last_try=time.time(), error=error))

    def look_at_module(self, name: str) -> ModuleVersion | None:
        """The version that a module's source is at now, if it is another than the known one."""
        now = time.time()
        version = resolve(name, self.settings.modules[name].source)
        self.store.put_repository(RepositoryState(name=name, digest=version.digest, last_ok=now, last_try=now))
        return None if version == self.store.module_version(name) else version


def bundle_note(headers_digest: str) -> str:
    """Where the store notes the SHA256 of the bundle that was made of these header packages."""
    return f"bundle/{headers_digest}"
