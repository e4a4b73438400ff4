"""What a kernel's header bundle is made of, had from where its repository says, and vouched for as that wants."""

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .downloads import Downloads
from .errors import BuildImpossible, IndexDamaged, KmodciError
from .model import Kernel, Package, PackageKind
from .repos.base import Signed, Trust
from .repos.packages import check_package
from .store import Store

_BESIDE_LIMIT = 64 * 1024
SEEN_NOTES = "seen/"
"""the SHA256 that a package had, by the SHA256 of its URL"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """Everything raises KmodciError: Gone when a mirror no longer has a package, FetchError when it does not answer."""

    downloads: Downloads
    store: Store
    tarballs: Path
    """a folder for the sources of kernels"""
    trust: Mapping[str, Trust]
    """what has to vouch for the packages of a repository, by its name"""
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def files(self, kernel: Kernel, folder: Path) -> tuple[list[Path], dict[str, str]]:
        """Where each of a kernel's packages lies now; in that folder, as a rule.

        And what is to be noted in the store of those that nothing vouches for, once they have been of use.
        """
        if kernel.repository not in self.trust:
            raise KmodciError(
                f"{kernel}: its repository, {kernel.repository}, is not in targets.yml: nothing says whom to believe",
                hint="write it down there again, `enabled: false` if it is not to be followed any more",
            )
        trust = self.trust[kernel.repository]
        files = [self._file(package, folder / f"package-{at}", trust) for at, package in enumerate(kernel.headers)]
        return files, self._seen(kernel, files) if trust.signed is Signed.NO else {}

    def _seen(self, kernel: Kernel, files: Sequence[Path]) -> dict[str, str]:
        """SHA256s of packages that nothing vouches for. Raises IndexDamaged for others than before.

        Who can change what a server has could do so before; but not once there are modules that others use.
        """
        notes: dict[str, str] = {}
        for package, file in zip(kernel.headers, files, strict=True):
            if not package.sha256:
                note = f"{SEEN_NOTES}{hashlib.sha256(package.url.encode()).hexdigest()}"
                known = self.store.meta(note)
                with file.open("rb") as content:
                    notes[note] = hashlib.file_digest(content, "sha256").hexdigest()
                if known not in ("", notes[note]):
                    raise IndexDamaged(
                        f"{package.url}: SHA256 {notes[note]}, but it was {known} when it was first downloaded",
                        hint="name the kernel in targets.yml, with the one that you believe (`kernels:`)",
                    )
        return notes

    def _file(self, package: Package, path: Path, trust: Trust) -> Path:
        if package.kind is PackageKind.SOURCE:
            return self._tarball(package)
        if package.kind is not PackageKind.PACKAGE and (content := self.store.content(package.sha256)) is not None:
            path.write_bytes(content)
            return path
        if package.kind is PackageKind.CONFIG:
            raise BuildImpossible(f"the configuration that was read at {package.url} is not in the database any more")
        self.downloads.package(package, path)
        check_package(package, path.read_bytes(), trust, self._beside(package))
        return path

    def _beside(self, package: Package) -> Callable[[str], bytes]:
        return lambda end: self.downloads.get(f"{package.url}{end}", limit=_BESIDE_LIMIT)

    def _tarball(self, package: Package) -> Path:
        """A kernel's source: 150 MB, and often of several kernels. Its SHA256 is known, and all that vouches for it."""
        path = self.tarballs / f"{package.sha256}.tar"
        with self._locks[package.sha256]:
            if not path.exists():
                self.downloads.package(package, path)
                path.chmod(0o644)
            os.utime(path)
        return path
