"""Looks at the outside: repositories for kernels and packaged modules, module sources for new versions.

What was found is handed out first and remembered after, in two calls, so that who tells others of it
can do so in between. A source that cannot be read loses nothing that is known.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from .discovery import Look, Repository, diff, look, merge
from .errors import IndexDamaged
from .fetch import Fetcher
from .model import Kernel, ModuleVersion
from .settings import Settings
from .sources import PackageSource, resolve
from .store import RepositoryState, Store
from .where import source_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one look at a repository says is new."""

    look: Look
    new: tuple[Kernel, ...] = ()
    updated: tuple[Kernel, ...] = ()
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
        listed = self.store.listed()
        if not found.kernels and listed.get(name):
            # a mirror that is being set up anew signs such an index as well as any other
            raise IndexDamaged(
                f"{name}: it lists no kernel, and had {len(listed[name])}; those stay",
                hint="if that is meant, take the repository out of targets.yml",
            )
        news = diff(_merged(listed), _merged({**listed, name: (*found.kernels, *self._kept(found, listed))}).values())
        return Found(look=found, new=news.new, updated=news.changed, modules=tuple(self._new_modules(found, wanted)))

    def _kept(self, found: Look, listed: Mapping[str, tuple[Kernel, ...]]) -> list[Kernel]:
        """What the repository no longer lists, but can still be built: we have the headers."""
        here = {str(kernel) for kernel in found.kernels}
        gone = [kernel for kernel in listed.get(found.repository, ()) if str(kernel) not in here]
        return [kernel for kernel in gone if self.store.meta(bundle_note(kernel.headers_digest))]

    def _new_modules(self, found: Look, wanted: Mapping[str, str]) -> list[ModuleVersion]:
        versions = [
            resolve(name, PackageSource(package=package), version=self.settings.modules[name].version)
            for package in found.packages
            for name in [wanted[package.name]]
        ]
        return [v for v in versions if self.store.module_version(v.module) != v]

    def remember(self, found: Found) -> None:
        """After this, the same index is no news."""
        name, listed = found.look.repository, self.store.listed()
        stays = {str(kernel) for kernel in (*found.look.kernels, *self._kept(found.look, listed))}
        gone = [str(kernel) for kernel in listed.get(name, ()) if str(kernel) not in stays]
        # first, because a kernel whose configuration is not there cannot be built
        self.store.put_contents(found.look.contents)
        self.store.put_kernels(name, found.look.kernels, gone)
        self.store.forget_contents()
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
        module = self.settings.modules[name]
        version = resolve(name, source_of(module), version=module.version)
        if version != self.store.module_version(name):
            return version
        self._note_module(version)
        return None

    def remember_module(self, version: ModuleVersion) -> None:
        """After this, the same version is no news."""
        self.store.put_module_version(version)
        self._note_module(version)

    def _note_module(self, version: ModuleVersion) -> None:
        now = time.time()
        name, digest = version.module, version.digest
        self.store.put_repository(RepositoryState(name=name, digest=digest, last_ok=now, last_try=now))


def _merged(listed: Mapping[str, tuple[Kernel, ...]]) -> dict[str, Kernel]:
    return {str(kernel): kernel for kernel in merge(listed[name] for name in sorted(listed))}


BUNDLE_NOTES = "bundle/"


def programs_note(kernel: Kernel) -> str:
    """Where the store notes the programs of the kernel's own folder in that bundle (`HostTools.to_json`)."""
    return f"programs/{kernel.headers_digest}"


def bundle_note(headers_digest: str) -> str:
    """Where the store notes the SHA256 of the bundle that was made of these header packages.

    With the image that its programs run in after a `/`, where those of the packages do not.
    """
    return f"{BUNDLE_NOTES}{headers_digest}"


def digest_of_note(note: str) -> str:
    """The other way round."""
    return note.removeprefix(BUNDLE_NOTES).partition("/")[0]
