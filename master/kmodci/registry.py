"""The toolchain images as a registry has them: for nodes that take images from nowhere else.

An image is two layers: the archive that the bucket keeps, as it is, and the worker bundle below /kmodci, where it is
mounted elsewhere. Both lie in the cache `layers`, by their digests.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from . import oci
from .bucket import Bucket
from .caches import Caches
from .errors import EngineError, NotFound, StoreError
from .images import Recipe, lost_note
from .oci import Image, Layer
from .once import Once
from .paths import Paths
from .sandbox import BUNDLE_MOUNT
from .store import Store
from .tarzst import packed
from .workerbundles import WorkerBundles

PREFIX = "kmodci/"
"""of the name of every image"""
_NOTES = "layer/"
_PIECE = 1 << 20
# bytes of zeros, at least, at the end of every tar
_END = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """What is served under a digest."""

    digest: str
    type: str
    """as a Content-Type"""
    content: bytes | Path


@dataclass(slots=True, kw_only=True)
class Registry:
    """Used from many threads; the same layer is had once. Everything raises KmodciError, and may take a while."""

    paths: Paths
    store: Store
    bucket: Bucket
    bundles: WorkerBundles
    caches: Caches
    images: Mapping[str, Recipe]
    """every image that hosts need; nothing else is served"""
    _once: Once = field(default_factory=Once)
    _checked: set[str] = field(default_factory=set)
    """the digests of layers on this disk that were found to be whole since this was opened"""

    def reference(self, tag: str) -> str:
        """What names the image of this tag (`Recipe.tag`) in this registry: `kmodci/toolchain-gcc-12@sha256:...`.

        Its layers are on this disk then. Raises EngineError if the image was never made.
        """
        recipe = next((made for made in self.images.values() if made.tag == tag), None)
        if recipe is None:
            raise EngineError(f"{tag} is no image of this configuration")
        made = self._image(recipe)
        if made is None:
            # an engine may have it, so the plan would not miss it
            self.store.put_meta(lost_note(tag), "x")
            raise EngineError(f"image {tag} is not made yet", hint="the builder `images` makes it; see its page")
        return f"{PREFIX}{recipe.name}@{made.digest}"

    def manifest(self, name: str, reference: str) -> Blob:
        """Of an image: name without `kmodci/`; reference: its digest, or the tag that an engine has it under.

        Raises NotFound.
        """
        recipe = self._recipe(name)
        if reference == recipe.digest or oci.is_digest(reference):
            made = self._noted(recipe) or self._image(recipe)
            if made and reference in (recipe.digest, made.digest):
                return Blob(digest=made.digest, type=oci.MANIFEST, content=made.manifest)
        raise NotFound(f"{PREFIX}{name}: no such manifest")

    def blob(self, name: str, digest: str) -> Blob:
        """The configuration or a layer of an image that was asked for before. Raises NotFound."""
        recipe = self._recipe(name)
        made = self._noted(recipe)
        if made and digest == oci.digest_of(made.config):
            return Blob(digest=digest, type=oci.CONFIG, content=made.config)
        if made and digest in {layer.digest for layer in made.layers}:
            # one that was pruned is had again; what the bucket has by then may be another
            again = self._image(recipe)
            if again and digest in {layer.digest for layer in again.layers}:
                return Blob(digest=digest, type=oci.LAYER, content=self._place(digest))
        raise NotFound(f"{PREFIX}{name}: no such blob")

    def _recipe(self, name: str) -> Recipe:
        recipe = next((made for made in self.images.values() if made.name == name), None)
        if recipe is None:
            raise NotFound(f"{PREFIX}{name[:80]}: no such image")
        return recipe

    def _noted(self, recipe: Recipe) -> Image | None:
        """The image, if all of it was had before; wherever its layers are."""
        names = recipe.key, self.bundles.place(recipe.arch).name
        layers = [Layer.from_json(self.store.meta(_NOTES + name)) for name in names]
        known = [layer for layer in layers if layer]
        return oci.image(recipe.arch, known) if len(known) == len(names) else None

    def _image(self, recipe: Recipe) -> Image | None:
        """The image, with its layers on this disk; None if the bucket does not have it."""
        base = self._layer(recipe.key, lambda path: self.bucket.get_file(recipe.key, path))
        if base is None:
            return None
        bundle = self.bundles.made(recipe.arch)
        worker = self._layer(bundle.name, lambda path: _pack(bundle, path))
        return oci.image(recipe.arch, [base, worker]) if worker else None

    def _layer(self, name: str, had: Callable[[Path], bool]) -> Layer | None:
        """name: says what is in it, whatever its bytes are; had: writes it, returns whether there is such a thing."""
        with self._once(name):
            known = Layer.from_json(self.store.meta(_NOTES + name))
            if known and self._is_whole(known):
                return known
            with TemporaryDirectory(prefix="layer-", dir=self.paths.scratch) as folder:
                path = Path(folder) / "layer.tar.zst"
                if not had(path):
                    return None
                layer = _measured(path, name)
                path.replace(self._place(layer.digest))
            self._checked.add(layer.digest)
            if layer != known:
                self._note(name, layer)
        self.caches.prune("layers")
        return layer

    def _note(self, name: str, layer: Layer) -> None:
        """Writes down what a layer is, and forgets those of no recipe or worker of today."""
        recipes = self.images.values()
        today = {*(made.key for made in recipes), *(self.bundles.place(made.arch).name for made in recipes)}
        old = [note for note in self.store.metas(_NOTES) if note.removeprefix(_NOTES) not in today]
        self.store.forget_metas(old)
        self.store.put_meta(_NOTES + name, layer.to_json())

    def _is_whole(self, layer: Layer) -> bool:
        path = self._place(layer.digest)
        try:
            os.utime(path)
            if path.stat().st_size == layer.size and layer.digest not in self._checked:
                self._checked |= {layer.digest} & {_digest(path)}
            return path.stat().st_size == layer.size and layer.digest in self._checked
        except FileNotFoundError:
            return False

    def _place(self, digest: str) -> Path:
        """digest: of a layer, never what somebody asks for."""
        return self.paths.cache("layers") / f"{digest.removeprefix('sha256:')}.tar.zst"


def _pack(bundle: Path, path: Path) -> bool:
    packed(bundle, path, below=BUNDLE_MOUNT)
    return True


def _measured(path: Path, name: str) -> Layer:
    """Raises StoreError for what is no `.tar.zst`."""
    plain, last = hashlib.sha256(), b""
    try:
        with (
            path.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream,
        ):
            while piece := stream.read(_PIECE):
                plain.update(piece)
                last = (last + piece)[-_END:]
    except zstandard.ZstdError as damage:
        raise StoreError(f"{name} is damaged: {damage}", hint="delete it in the bucket; it is made again") from damage
    if any(last) or len(last) < _END:
        raise StoreError(f"{name} is damaged: its end is missing", hint="delete it in the bucket; it is made again")
    return Layer(digest=_digest(path), size=path.stat().st_size, diff_id=f"sha256:{plain.hexdigest()}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
