"""What a build needs, made present: its header bundle, its module's source, its toolchain image.

Each is looked for where it is cheapest: the local cache, the bucket, then where it comes from.
Safe to be called from many threads: the same thing is made once.
"""

import hashlib
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from . import trees
from .bootstrap import SuiteSource, bootstrap
from .bucket import Bucket
from .distros import layout_of
from .downloads import Downloads
from .engine import Engine
from .errors import BuildImpossible, EngineError, IndexDamaged, KmodciError
from .headers import compiler_of, kernel_facts, request
from .images import Recipe
from .keys import headers_key
from .model import Evidence, Kernel, ModuleVersion, Package
from .objects import Object
from .paths import Paths
from .repos.base import Signed, Trust
from .repos.packages import check_package
from .retention import CachedFile, overflow
from .sources import pack
from .store import Store
from .watch import bundle_note

_BESIDE_LIMIT = 64 * 1024
SEEN_NOTES = "seen/"
"""the SHA256 that a package had, by the SHA256 of its URL"""
CACHES = ("headers", "pieces", "sources")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A header bundle on this disk. sha256 names its content, in the bucket too."""

    path: Path
    sha256: str


@dataclass(slots=True)
class Supply:
    """Everything raises KmodciError: Gone when no mirror has a package any more, FetchError when none answers."""

    paths: Paths
    store: Store
    bucket: Bucket
    downloads: Downloads
    engine: Engine
    recipes: dict[str, Recipe]
    """by toolchain"""
    suites: Callable[[Recipe], list[SuiteSource]]
    """where a recipe's packages come from"""
    trust: Mapping[str, Trust]
    """what has to vouch for the packages of a repository, by its name"""
    cache_limit: int
    """bytes, of each cache"""
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    @contextmanager
    def _once(self, name: str) -> Iterator[None]:
        with self._locks[name]:
            yield

    def bundle(self, kernel: Kernel) -> Bundle:
        """The header bundle of a kernel."""
        digest = kernel.headers_digest
        with self._once(f"headers {digest}"):
            sha256 = self.store.meta(bundle_note(digest))
            if sha256:
                path = self.paths.cache("headers") / f"{sha256}.tar.zst"
                if path.exists() or self._from_bucket(headers_key(sha256), path, sha256):
                    os.utime(path)
                    return self._learned(kernel, Bundle(path, sha256))
                # or a kernel that is gone would be tried for ever
                self.store.forget_metas([bundle_note(digest)])
            return self._learned(kernel, self._make_bundle(kernel))

    def _learned(self, kernel: Kernel, bundle: Bundle) -> Bundle:
        """Notes the compiler that the headers name, where nothing else of the kernel does."""
        if kernel.evidence is Evidence.SERIES and self.store.as_learned(kernel) == kernel:
            _, config = kernel_facts(bundle.path, layout_of(kernel))
            self.store.note_compiler(kernel, compiler_of(config))
        return bundle

    def headers(self, kernel: Kernel) -> tuple[Bundle, dict[str, Path]]:
        """The header bundle of a kernel, and where its top folders lie unpacked."""
        bundle = self.bundle(kernel)
        cache, wanted = self.paths.cache("trees"), trees.names(kernel, bundle.sha256)
        with ExitStack() as stack:
            for key in sorted(wanted.values()):
                stack.enter_context(self._once(f"tree {key}"))
            lacking = {name: key for name, key in wanted.items() if not trees.is_there(cache, key, name)}
            if lacking:
                trees.unpack(bundle.path, lacking, cache, kernel=kernel, scratch=self.paths.scratch)
        if lacking:
            with self._once("prune"):
                trees.prune(cache, self.cache_limit)
        return bundle, {name: cache / key / name for name, key in wanted.items()}

    def _make_bundle(self, kernel: Kernel) -> Bundle:
        cache = self.paths.cache("headers")
        with TemporaryDirectory(prefix="headers-", dir=self.paths.scratch) as name:
            folder = Path(name)
            files = []
            trust = self._trust(kernel)
            for number, package in enumerate(kernel.headers):
                files.append(folder / f"package-{number}")
                self.downloads.package(package, files[-1])
                check_package(package, files[-1].read_bytes(), trust, self._beside(package))
            seen = self._seen(kernel, files) if trust.signed is Signed.NO else {}
            made = folder / "bundle"
            # a process of its own: seconds of decompression and compression are not for the master's
            done = subprocess.run(
                [sys.executable, "-m", "kmodci.headers"],
                input=request(
                    list(zip(kernel.headers, files, strict=True)),
                    made,
                    layout=layout_of(kernel),
                    release=kernel.release,
                    pieces=self.paths.cache("pieces"),
                ),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise BuildImpossible(f"the header packages of {kernel} cannot be used: {done.stderr.strip()[-500:]}")
            sha256 = _sha256(made)
            path = cache / f"{sha256}.tar.zst"
            made.chmod(0o644)
            made.replace(path)
        self.bucket.put_file(headers_key(sha256), path)
        # what was downloaded is noted only now: an error page, served once, is not what there was first
        self.store.put_metas({**seen, bundle_note(kernel.headers_digest): sha256})
        self.prune("headers")
        self.prune("pieces")
        return Bundle(path, sha256)

    def _seen(self, kernel: Kernel, files: Sequence[Path]) -> dict[str, str]:
        """What to note of packages that nothing vouches for: their SHA256s. Raises IndexDamaged for others than before.

        Who can change what a server has could do so before; but not once there are modules that others use.
        """
        notes: dict[str, str] = {}
        for package, file in zip(kernel.headers, files, strict=True):
            if not package.sha256:
                note = f"{SEEN_NOTES}{hashlib.sha256(package.url.encode()).hexdigest()}"
                known = self.store.meta(note)
                notes[note] = _sha256(file)
                if known not in ("", notes[note]):
                    raise IndexDamaged(
                        f"{package.url}: SHA256 {notes[note]}, but it was {known} when it was first downloaded",
                        hint="name the kernel in targets.yml, with the one that you believe (`kernels:`)",
                    )
        return notes

    def _beside(self, package: Package) -> Callable[[str], bytes]:
        return lambda end: self.downloads.get(f"{package.url}{end}", limit=_BESIDE_LIMIT)

    def _trust(self, kernel: Kernel) -> Trust:
        if kernel.repository not in self.trust:
            raise KmodciError(
                f"{kernel}: its repository, {kernel.repository}, is not in targets.yml: nothing says whom to believe",
                hint="write it down there again, `enabled: false` if it is not to be followed any more",
            )
        return self.trust[kernel.repository]

    def source(self, module: ModuleVersion) -> Path:
        """The module's source as an archive."""
        name = f"{module.module}-{module.version}-{hashlib.sha256(module.digest.encode()).hexdigest()[:16]}.tar.zst"
        path = self.paths.cache("sources") / name
        with self._once(f"source {name}"):
            if not path.exists():
                pack(module, self.downloads, path)
                path.chmod(0o644)
                self.prune("sources")
            os.utime(path)
        return path

    def drop_bundle(self, found: Object, digests: Sequence[str]) -> bool:
        """Forgets a bundle and deletes it. found: as listed; digests: of the header packages that it was made of.

        False if it has been written again since: somebody needs it.
        """
        with ExitStack() as stack:
            for digest in sorted(digests):
                stack.enter_context(self._once(f"headers {digest}"))
            if found not in self.bucket.list(found.key):
                return False
            self.store.forget_metas(bundle_note(digest) for digest in digests)
            self.bucket.delete([found.key])
            (self.paths.cache("headers") / found.key.removeprefix("headers/")).unlink(missing_ok=True)
        return True

    def load_image(self, tag: str) -> None:
        """Has an image on the engine that was made before. Raises EngineError if it never was."""
        if tag in self.engine.tags():
            return
        recipe = next((r for r in self.recipes.values() if r.tag == tag), None)
        if recipe is None:
            raise EngineError(f"{tag} is no image of this configuration")
        with self._once(f"image {tag}"):
            if tag not in self.engine.tags() and not self._load_from_bucket(recipe):
                raise EngineError(f"image {tag} is not made yet", hint="the builder `images` makes it; see its page")

    def make_image(self, toolchain: str, say: Callable[[str], None]) -> str:
        """Has a toolchain's image on the engine and in the bucket. Returns its tag. say: called with each line."""
        recipe = self.recipes[toolchain]
        with self._once(f"image {recipe.tag}"):
            if recipe.tag in self.engine.tags():
                say(f"{recipe.tag} is on the engine")
            elif self._load_from_bucket(recipe):
                say(f"{recipe.tag} loaded from the bucket")
            else:
                self._bootstrap(recipe, say)
        return recipe.tag

    def _bootstrap(self, recipe: Recipe, say: Callable[[str], None]) -> None:
        with TemporaryDirectory(prefix="image-", dir=self.paths.scratch) as folder:
            archive = bootstrap(recipe, mirrors=self.suites(recipe), target=Path(folder) / "image.tar.zst", log=say)
            say(f"uploading {archive.stat().st_size >> 20} MiB as {recipe.key}")
            self.bucket.put_file(recipe.key, archive)
            self.engine.load(archive, recipe.tag)
            say(f"{recipe.tag} is on the engine")

    def _load_from_bucket(self, recipe: Recipe) -> bool:
        with TemporaryDirectory(prefix="image-", dir=self.paths.scratch) as folder:
            archive = Path(folder) / "image.tar.zst"
            if not self.bucket.get_file(recipe.key, archive):
                return False
            self.engine.load(archive, recipe.tag)
            return True

    def _from_bucket(self, key: str, path: Path, sha256: str) -> bool:
        part = path.with_suffix(f".{threading.get_ident()}.part")
        try:
            if not self.bucket.get_file(key, part):
                return False
            if _sha256(part) != sha256:
                raise KmodciError(
                    f"{key} in the bucket is damaged", hint="delete it; it is made again from its packages"
                )
            part.chmod(0o644)
            part.replace(path)
            return True
        finally:
            part.unlink(missing_ok=True)

    def surplus(self, kind: str) -> Sequence[CachedFile]:
        """What of a cache is more than its limit. kind: one of CACHES."""
        files = [(path.name, path.stat()) for path in self.paths.cache(kind).glob("*.zst")]
        known = (CachedFile(name=name, size=stat.st_size, used=stat.st_mtime) for name, stat in files)
        return overflow(known, self.cache_limit)

    def prune(self, kind: str) -> None:
        """Brings a cache back to its limit."""
        with self._once("prune"):
            for file in self.surplus(kind):
                (self.paths.cache(kind) / file.name).unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
