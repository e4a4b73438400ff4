"""Toolchain images: loaded into an engine from the bucket, or made of a distribution's packages and put there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from .bootstrap import SuiteSource, bootstrap
from .bucket import Bucket
from .engine import Engine
from .engines import Engines
from .errors import EngineError
from .imagemaker import Bootstrap
from .images import Recipe, lost_note, natively
from .model import BUILD_ARCH
from .once import Once
from .paths import Paths
from .store import Store


@dataclass(slots=True, kw_only=True)
class ImageSupply:
    """Used from many threads; the same image is made once. Everything raises KmodciError."""

    paths: Paths
    store: Store
    bucket: Bucket
    engines: Engines
    recipes: Mapping[str, Recipe]
    """by toolchain"""
    suites: Callable[[Recipe], list[SuiteSource]]
    """where a recipe's packages come from"""
    bootstrap: Bootstrap = bootstrap
    _once: Once = field(default_factory=Once)

    def load(self, tag: str, host: str) -> None:
        """Has an image on a host that was made before. Raises EngineError if it never was."""
        engine = self.engines[host]
        if tag in engine.tags():
            return
        recipes = (natively(made, engine.arch) for made in self.recipes.values())
        recipe = next((made for made in recipes if made.tag == tag), None)
        if recipe is None:
            raise EngineError(f"{tag} is no image of this configuration")
        with self._once(f"image {tag} {host}"):
            if tag not in engine.tags() and not self._load_from_bucket(recipe, engine):
                # another host may have it, so the plan would not miss it
                self.store.put_meta(lost_note(tag), "x")
                raise EngineError(f"image {tag} is not made yet", hint="the builder `images` makes it; see its page")

    def make(self, toolchain: str, say: Callable[[str], None], host: str = "", *, arch: str = BUILD_ARCH) -> str:
        """Has a toolchain's image on a host, any of that architecture if not said, and in the bucket. Returns its tag.

        say: called with each line.
        """
        host = host or self._host_of(arch)
        return self._have(natively(self.recipes[toolchain], self.engines[host].arch), host, say)

    def engine_with(self, recipe: Recipe) -> Engine:
        """An engine that answers, and has the recipe's image then."""
        host = self._host_of(recipe.arch)
        self._have(recipe, host)
        return self.engines[host]

    def _host_of(self, arch: str) -> str:
        return self.engines.first(arch=arch, among=self.engines.running_on(arch))

    def _have(self, recipe: Recipe, host: str, say: Callable[[str], None] = lambda _: None) -> str:
        engine = self.engines[host]
        with self._once(f"image {recipe.tag} {host}"):
            is_lost = bool(self.store.meta(lost_note(recipe.tag)))
            if recipe.tag in engine.tags() and not is_lost:
                say(f"{recipe.tag} is on the engine")
            elif self._load_from_bucket(recipe, engine):
                say(f"{recipe.tag} loaded from the bucket")
            else:
                self._bootstrap(recipe, engine, say)
            if is_lost:
                self.store.forget_metas([lost_note(recipe.tag)])
        return recipe.tag

    def _bootstrap(self, recipe: Recipe, engine: Engine, say: Callable[[str], None]) -> None:
        with TemporaryDirectory(prefix="image-", dir=self.paths.scratch) as folder:
            archive = self.bootstrap(
                recipe, mirrors=self.suites(recipe), target=Path(folder) / "image.tar.zst", log=say
            )
            say(f"uploading {archive.stat().st_size >> 20} MiB as {recipe.key}")
            self.bucket.put_file(recipe.key, archive)
            engine.load(archive, recipe.tag)
            say(f"{recipe.tag} is on the engine")

    def _load_from_bucket(self, recipe: Recipe, engine: Engine) -> bool:
        with TemporaryDirectory(prefix="image-", dir=self.paths.scratch) as folder:
            archive = Path(folder) / "image.tar.zst"
            if not self.bucket.get_file(recipe.key, archive):
                return False
            engine.load(archive, recipe.tag)
            return True
