"""What a kernel's header bundle is made of, had from where its repository says, and vouched for as that wants."""

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .downloads import download
from .errors import BuildImpossible, KmodciError
from .fetch import Fetcher
from .model import Kernel, Package, PackageKind
from .repos.base import Trust
from .repos.packages import check_package
from .store import Store

_BESIDE_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """Everything raises KmodciError: Gone when a mirror no longer has a package, FetchError when it does not answer."""

    fetcher: Fetcher
    store: Store
    tarballs: Path
    """a folder for the sources of kernels"""
    trust: Mapping[str, Trust]
    """what has to vouch for the packages of a repository, by its name"""
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def files(self, kernel: Kernel, folder: Path) -> list[Path]:
        """Where each of a kernel's packages lies now; in that folder, as a rule."""
        if kernel.repository not in self.trust:
            raise KmodciError(
                f"{kernel}: its repository, {kernel.repository}, is not in targets.yml: nothing says whom to believe",
                hint="write it down there again, `enabled: false` if it is not to be followed any more",
            )
        trust = self.trust[kernel.repository]
        return [self._file(package, folder / f"package-{at}", trust) for at, package in enumerate(kernel.headers)]

    def _file(self, package: Package, path: Path, trust: Trust) -> Path:
        if package.kind is PackageKind.SOURCE:
            return self._tarball(package)
        if package.kind is not PackageKind.PACKAGE and (content := self.store.content(package.sha256)) is not None:
            path.write_bytes(content)
            return path
        if package.kind is PackageKind.CONFIG:
            raise BuildImpossible(f"the configuration that was read at {package.url} is not in the database any more")
        download(package, path, self.fetcher)
        check_package(package, path.read_bytes(), trust, self._beside(package))
        return path

    def _beside(self, package: Package) -> Callable[[str], bytes]:
        return lambda end: self.fetcher.get(f"{package.url}{end}", limit=_BESIDE_LIMIT)

    def _tarball(self, package: Package) -> Path:
        """A kernel's source: 150 MB, and often of several kernels. Its SHA256 is known, and all that vouches for it."""
        path = self.tarballs / f"{package.sha256}.tar"
        with self._locks[package.sha256]:
            if not path.exists():
                self.fetcher.download(package.url, path, size=package.size, sha256=package.sha256)
                path.chmod(0o644)
            os.utime(path)
        return path
