"""What a kernel's header bundle is made of, had from where its repository says, and vouched for as that wants."""

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
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
    """Everything raises KmodciError: Gone when no mirror has a package any more, FetchError when none answers."""

    downloads: Downloads
    store: Store
    tarballs: Path
    """a folder for the sources of kernels"""
    trust: Mapping[str, Trust]
    """what has to vouch for the packages of a repository, by its name"""
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def had(self, kernel: Kernel, folder: Path) -> tuple[list[Path], dict[str, str]]:
        """Where each of a kernel's packages lies now, in that folder, as a rule; and what to note of them once they
        turned out to be good: an error page, served once, is not what there was first."""
        trust = self._trust(kernel)
        files = [self._file(package, folder / f"package-{at}", trust) for at, package in enumerate(kernel.headers)]
        named = zip(kernel.headers, files, strict=True)
        unnamed = [(package, file) for package, file in named if not package.sha256 and trust.signed is Signed.NO]
        return files, dict(self._seen(package, file) for package, file in unnamed)

    def _trust(self, kernel: Kernel) -> Trust:
        if kernel.repository not in self.trust:
            raise KmodciError(
                f"{kernel}: its repository, {kernel.repository}, is not in targets.yml: nothing says whom to believe",
                hint="write it down there again, `enabled: false` if it is not to be followed any more",
            )
        return self.trust[kernel.repository]

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

    def _seen(self, package: Package, file: Path) -> tuple[str, str]:
        """What to note of a package that nothing vouches for: its SHA256. Raises IndexDamaged for another than before.

        Who can change what a server has could do so before; but not once there are modules that others use.
        """
        note = f"{SEEN_NOTES}{hashlib.sha256(package.url.encode()).hexdigest()}"
        sha256, known = hashlib.sha256(file.read_bytes()).hexdigest(), self.store.meta(note)
        if known not in ("", sha256):
            raise IndexDamaged(
                f"{package.url}: SHA256 {sha256}, but it was {known} when it was first downloaded",
                hint="name the kernel in targets.yml, with the one that you believe (`kernels:`)",
            )
        return note, sha256
