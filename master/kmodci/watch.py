"""Looks at the outside: repositories for kernels and packaged modules, module sources for new versions.

What was found is handed out first and remembered after, in two calls, so that who tells others of it
can do so in between. A source that cannot be read loses nothing that is known; nor does one that is in doubt. What a
repository lists no more is marked as gone, and stays.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from .acceptance import Acceptance, Acceptances
from .discovery import Backwards, Look, Repository, diff, look, merge, missed
from .doubt import Doubt, Doubted, dated_back, doubted, emptied, interrupted
from .errors import KmodciError
from .fallover import FallOver
from .fetch import Fetcher
from .history import History
from .model import Kernel, ModuleVersion
from .settings import Settings
from .sources import PackageSource, resolve
from .store import RepositoryState, Store
from .where import followed, source_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one look at a repository says is new."""

    look: Look
    new: tuple[Kernel, ...] = ()
    updated: tuple[Kernel, ...] = ()
    gone: tuple[Kernel, ...] = ()
    """that no repository lists any more"""
    back: tuple[Kernel, ...] = ()
    modules: tuple[ModuleVersion, ...] = ()
    missed: tuple[Kernel, ...] = ()
    """what this repository does not list any more, to be remembered as gone from it"""
    believed: str = ""
    """why it is taken at its word, where that was in doubt"""

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
    acceptances: Acceptances | None = None
    """None where nobody can accept anything"""
    clock: Callable[[], float] = time.time
    """seconds since the epoch"""
    fallover: FallOver = field(default_factory=FallOver)

    def look(self, name: str) -> Found:
        """Looks at one repository, by name. Raises Doubted for what is not believed yet."""
        repository, state = self.repositories[name], self.store.repository_state(name)
        dated, odd, content = datetime.fromtimestamp(state.dated, UTC), [], ""
        try:
            found = self._read(repository, state, dated)
        except Backwards:
            found = self._read(repository, state, None)
            odd, content = [dated_back(found.dated, dated)], found.release_digest
        if not found.changed:
            self._note(found)
            return Found(look=found)
        listed = self.store.listed()
        before = listed.get(name, ())
        if lacking := emptied(before, found.kernels, repository.targets):
            odd.append(lacking)
        believed = self._insist(state, "; ".join(odd), content) if odd else ""
        lost = missed(before, found.kernels, repository.targets, self.clock())
        after = {str(kernel): kernel for kernel in (*before, *lost, *found.kernels)}
        news = diff(_merged(listed), _merged({**listed, name: tuple(after.values())}).values())
        return Found(
            look=found,
            new=news.new,
            updated=news.changed,
            gone=news.gone,
            back=news.back,
            modules=tuple(self._new_modules(found)),
            missed=lost,
            believed=believed,
        )

    def _read(self, repository: Repository, state: RepositoryState, known_date: datetime | None) -> Look:
        """known_date: what is older is no answer."""
        return look(
            repository,
            self.fetcher,
            known_digest=state.digest,
            known_date=known_date,
            packages=frozenset(self.packages.get(repository.name, ())),
            now=datetime.now(UTC),
            fallover=self.fallover,
        )

    def _insist(self, state: RepositoryState, what: str, content: str) -> str:
        """Why something odd is believed after all. Raises Doubted if it is not. content: see `doubted`."""
        apart = self.settings.poll.interval / 2
        doubt = doubted(state.doubt, what, content=content, now=self.clock(), apart=apart)
        if doubt.is_settled:
            return f"{what}: {doubt.looks} looks in a row say so"
        if accepted := self.accepted(state.name, doubt):
            return f"{what}: accepted by {accepted.by}"
        raise Doubted(state.name, doubt)

    def accepted(self, name: str, doubt: Doubt | None) -> Acceptance | None:
        """Who accepts what a repository says now, if anybody does."""
        return self.acceptances.find(name, doubt) if self.acceptances else None

    def is_accepted(self, name: str) -> bool:
        """Whether a look at it now would end what is in doubt."""
        return self.accepted(name, self.store.repository_state(name).doubt) is not None

    def _new_modules(self, found: Look) -> list[ModuleVersion]:
        wanted = self.packages.get(found.repository, {})
        versions = [
            resolve(name, PackageSource(package=package), version=self.settings.modules[name].version)
            for package in found.packages
            for name in [wanted[package.name]]
        ]
        return [v for v in versions if self.store.module_version(v.module) != v]

    def remember(self, found: Found) -> None:
        """After this, the same index is no news."""
        # first, because a kernel whose configuration is not there cannot be built
        self.store.put_contents(found.look.contents)
        self.store.put_kernels(found.look.repository, (*found.look.kernels, *found.missed))
        if found.look.base:
            self.store.put_meta(f"{BASE_NOTES}{found.look.repository}", found.look.base)
        if when := self._appeared(found.look):
            History(self.store).appeared((*found.new, *found.updated), when)
        self.store.forget_contents()
        for module in found.modules:
            self.store.put_module_version(module)
        self._note(found.look)

    def _appeared(self, found: Look) -> float:
        """When what is new in it was published, in seconds since the epoch; 0 if nobody knows: at a first look, all is
        new, and what was not asked for before may always have been there."""
        before, now = self.store.repository_state(found.repository), self.clock()
        if before.digest.partition("-")[0] != found.release_digest.partition("-")[0]:
            return 0.0
        dated = found.dated.timestamp()
        return min(dated, now) if dated > before.dated else now

    def _note(self, found: Look) -> None:
        now = self.clock()
        state = RepositoryState(
            name=found.repository,
            digest=found.release_digest,
            dated=found.dated.timestamp(),
            last_ok=now,
            last_try=now,
            problems=found.problems if found.changed else self.store.repository_state(found.repository).problems,
            mirror_faults=found.mirror_faults,
        )
        self.store.put_repository(state)

    def note_fault(self, name: str, error: KmodciError) -> None:
        """A repository, or a module's source, could not be read now; what is known of it stays."""
        state = self.store.repository_state(name)
        doubt = error.doubt if isinstance(error, Doubted) else interrupted(state.doubt)
        self.store.put_repository(
            replace(state, last_try=self.clock(), error=error.brief, hint=error.hint, doubt=doubt, mirror_faults=())
        )

    def drop_unfollowed(self) -> tuple[Kernel, ...]:
        """Marks as gone what targets.yml does not follow any more; nobody looks at it. Returns that."""
        now, targets = self.clock(), followed(self.settings)
        every: list[Kernel] = []
        for name, kernels in self.store.listed().items():
            gone = [
                replace(kernel, gone=now)
                for kernel in kernels
                if not kernel.gone and kernel.target not in targets.get(name, ())
            ]
            if gone:
                # first: if it is followed again, its index is to be read even if that has not changed
                self.store.put_repository(replace(self.store.repository_state(name), digest=""))
                self.store.put_kernels(name, gone)
                every += gone
        return tuple(every)

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
        now = self.clock()
        name, digest = version.module, version.digest
        self.store.put_repository(RepositoryState(name=name, digest=digest, last_ok=now, last_try=now))


def _merged(listed: Mapping[str, tuple[Kernel, ...]]) -> dict[str, Kernel]:
    return {str(kernel): kernel for kernel in merge(listed[name] for name in sorted(listed))}


BASE_NOTES = "base/"
"""the mirror that a repository was last read from, where a list of mirrors leads to it"""
BUNDLE_NOTES = "bundle/"


def programs_note(digest: str) -> str:
    """Where the store notes the programs of the kernel's own folder in that bundle (`HostTools.to_json`)."""
    return f"programs/{digest}"


def bundle_note(headers_digest: str) -> str:
    """Where the store notes the SHA256 of the bundle that was made of these header packages.

    After a `/` the image that its programs run in, where those of the packages do not; and the architecture, where it
    is another than the usual one and the packages do not tell.
    """
    return f"{BUNDLE_NOTES}{headers_digest}"


def bundle_of(store: Store, kernel: Kernel) -> str:
    """The SHA256 of a bundle that was made for a kernel, on whatever machine it is built; empty if none was."""
    found = (store.meta(bundle_note(digest)) for digest in kernel.headers_digests)
    return next(filter(None, found), "")


def bundled(store: Store) -> frozenset[str]:
    """The digests of the header packages that a bundle was made of."""
    return frozenset(digest_of_note(note) for note, sha256 in store.metas(BUNDLE_NOTES).items() if sha256)


def digest_of_note(note: str) -> str:
    """The other way round."""
    return note.removeprefix(BUNDLE_NOTES).partition("/")[0]
