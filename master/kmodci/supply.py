"""What a build needs, made present: its header bundle, its module's source. Its image is `imagesupply`'s.

Each is looked for where it is cheapest: the local cache, the bucket, then where it comes from.
Safe to be called from many threads: the same thing is made once.
"""

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from . import trees
from .bucket import Bucket
from .caches import Caches
from .distros import layout_of
from .downloads import Downloads
from .errors import HeadersUnusable, KmodciError
from .headers import kernel_facts
from .hosttools import HostTools
from .images import Recipe, for_preparing, natively, nearest
from .imagesupply import ImageSupply
from .ingredients import Ingredients
from .kernelconfig import compiler_of
from .keys import headers_key
from .matrix import no_toolchain
from .model import BUILD_ARCH, Evidence, Kernel, ModuleVersion, PackageKind
from .objects import Object
from .once import Once
from .packing import pack_headers
from .paths import Paths
from .preparing import Preparing
from .sources import pack
from .store import Store
from .tarzst import extended
from .watch import bundle_note, programs_note


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
    images: ImageSupply
    """what headers are made in, where nobody packs them"""
    ingredients: Ingredients
    preparing: Preparing
    caches: Caches
    _once: Once = field(default_factory=Once)

    def bundle(self, kernel: Kernel, runs_on: str = BUILD_ARCH) -> Bundle:
        """The header bundle of a kernel, for builds that run on a machine of this architecture."""
        kernel = kernel.on(runs_on)
        with self._once(f"headers {kernel.headers_digest}"):
            bundle = self._known(bundle_note(_named(kernel, runs_on))) or self._make_bundle(kernel, runs_on)
            return self._with_programs(self.store.as_learned(kernel), runs_on, self._learned(kernel, bundle))

    def _known(self, note: str) -> Bundle | None:
        if not (sha256 := self.store.meta(note)):
            return None
        path = self.paths.cache("headers") / f"{sha256}.tar.zst"
        if path.exists() or self._from_bucket(headers_key(sha256), path, sha256):
            os.utime(path)
            return Bundle(path, sha256)
        # or a kernel that is gone would be tried for ever
        self.store.forget_metas([note])
        return None

    def _learned(self, kernel: Kernel, bundle: Bundle) -> Bundle:
        """Notes the compiler that the headers name, where nothing else of the kernel does."""
        # in what was made of a source is the compiler that it was made with
        if kernel.evidence is Evidence.SERIES and not kernel.is_source and self.store.as_learned(kernel) == kernel:
            _, config = kernel_facts(bundle.path, layout_of(kernel), has_symvers=False)
            self.store.note_compiler(kernel, compiler_of(config))
        return bundle

    def headers(self, kernel: Kernel, runs_on: str = BUILD_ARCH) -> tuple[Bundle, dict[str, Path]]:
        """The same, and where its top folders lie unpacked."""
        kernel, bundle = kernel.on(runs_on), self.bundle(kernel, runs_on)
        cache, wanted = self.paths.cache("trees"), trees.names(kernel, bundle.sha256, runs_on)
        with ExitStack() as stack:
            for key in sorted(wanted.values()):
                stack.enter_context(self._once(f"tree {key}"))
            lacking = {name: key for name, key in wanted.items() if not trees.is_there(cache, key, name)}
            if lacking:
                scratch = self.paths.scratch
                trees.unpack(bundle.path, lacking, cache, kernel=kernel, scratch=scratch, runs_on=runs_on)
        if lacking:
            with self.caches.pruning:
                trees.prune(cache, self.caches.limit)
        return bundle, {name: cache / key / name for name, key in wanted.items()}

    def _make_bundle(self, kernel: Kernel, runs_on: str) -> Bundle:
        with TemporaryDirectory(prefix="headers-", dir=self.paths.scratch) as name:
            folder = Path(name)
            files, seen = self.ingredients.had(kernel, folder)
            if kernel.is_source:
                self.caches.prune("tarballs")
                files[0] = self._tree(kernel, runs_on, files, folder / "tree")
                del files[1]  # the configuration, which is in the tree
            packages = [package for package in kernel.headers if package.kind is not PackageKind.CONFIG]
            made = folder / "bundle"
            tools = pack_headers(
                kernel, list(zip(packages, files, strict=True)), made, pieces=self.paths.cache("pieces")
            )
            digest = _named(kernel, runs_on)
            return self._keep(made, digest, {**seen, programs_note(digest): tools.to_json()})

    def _keep(self, made: Path, digest: str, notes: Mapping[str, str]) -> Bundle:
        """In cache and bucket."""
        sha256 = _sha256(made)
        path = self.paths.cache("headers") / f"{sha256}.tar.zst"
        made.chmod(0o644)
        made.replace(path)
        self.bucket.put_file(headers_key(sha256), path)
        self.store.put_metas({**notes, bundle_note(digest): sha256})
        self.caches.prune("headers")
        self.caches.prune("pieces")
        return Bundle(path, sha256)

    def _tree(self, kernel: Kernel, runs_on: str, files: Sequence[Path], target: Path) -> Path:
        """The header tree that a kernel's source gives with its configuration."""
        recipe = self._recipe(kernel, runs_on)
        if recipe is None:
            raise HeadersUnusable(f"no headers for {kernel}: {no_toolchain(kernel)}")
        engine = self.images.engine_with(recipe)
        self.preparing.tree(kernel, recipe, engine, source=files[0], config=files[1], target=target)
        return target

    def _with_programs(self, kernel: Kernel, runs_on: str, bundle: Bundle) -> Bundle:
        """The bundle, or one with programs that run in the kernel's image, where those of its packages do not."""
        tools = HostTools.from_json(self.store.meta(programs_note(_named(kernel, runs_on))))
        recipe = self._recipe(kernel, runs_on)
        if recipe is None or tools.run_with(recipe.glibc, runs_on):
            return bundle
        _, config = kernel_facts(bundle.path, layout_of(kernel), has_symvers=False)
        must, may = tools.to_make_again(recipe.glibc, config, runs_on)
        if not must:
            return bundle
        if kernel.is_source:
            return self._make_bundle(kernel, runs_on)
        native = f"-{runs_on}" if runs_on != BUILD_ARCH else ""
        digest = f"{kernel.headers_digest}/{recipe.toolchain}-{recipe.series}{native}"
        return self._known(bundle_note(digest)) or self._make_again(kernel, recipe, bundle, digest, must, may)

    def _make_again(
        self, kernel: Kernel, recipe: Recipe, bundle: Bundle, digest: str, must: Sequence[str], may: Sequence[str]
    ) -> Bundle:
        with TemporaryDirectory(prefix="programs-", dir=self.paths.scratch) as name:
            engine, scratch = self.images.engine_with(recipe), Path(name)
            made = self.preparing.programs(
                kernel, recipe, engine, bundle=bundle.path, must=must, may=may, scratch=scratch
            )
            extended(bundle.path, scratch / "bundle", made)
            return self._keep(scratch / "bundle", digest, {})

    def _recipe(self, kernel: Kernel, runs_on: str) -> Recipe | None:
        """Of the image in which is prepared what modules for this kernel are built with."""
        made = self.images.recipes.get(nearest(kernel.toolchain, self.images.recipes))
        return made and for_preparing(natively(made, runs_on))

    def source(self, module: ModuleVersion) -> Path:
        """The module's source as an archive."""
        name = f"{module.module}-{module.version}-{hashlib.sha256(module.digest.encode()).hexdigest()[:16]}.tar.zst"
        path = self.paths.cache("sources") / name
        with self._once(f"source {name}"):
            if not path.exists():
                pack(module, self.downloads, path)
                path.chmod(0o644)
                self.caches.prune("sources")
            os.utime(path)
        return path

    def drop_bundle(self, found: Object, digests: Sequence[str]) -> bool:
        """Forgets a bundle and deletes it. found: as listed; digests: of the header packages that it was made of.

        False if it has been written again since: somebody needs it.
        """
        with ExitStack() as stack:
            for digest in sorted({digest.partition("/")[0] for digest in digests}):
                stack.enter_context(self._once(f"headers {digest}"))
            if found not in self.bucket.list(found.key):
                return False
            self.store.forget_metas(bundle_note(digest) for digest in digests)
            self.bucket.delete([found.key])
            (self.paths.cache("headers") / found.key.removeprefix("headers/")).unlink(missing_ok=True)
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


def _named(kernel: Kernel, runs_on: str) -> str:
    """What names a kernel's bundle, in the store. Where it is made of a source, its programs are as well."""
    native = kernel.is_source and runs_on != BUILD_ARCH
    return f"{kernel.headers_digest}/{runs_on}" if native else kernel.headers_digest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
