"""Looks for what need not be kept, in the bucket, on the engine and on this disk, and removes it.

The removal may be broken off anywhere, and be begun again: the index goes first, then manifests, then files.
"""

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from .bucket import Bucket
from .caches import CACHES
from .contents import Contents, Needed, Retired
from .errors import EngineError, StoreError
from .farm import Farm
from .images import Recipe, for_preparing, tag_of_key
from .keys import LATEST, MANIFEST, RETIRED, build_of_key, run_of_key, sha256_of_headers
from .manifest import IndexEntry, Manifest
from .model import BuildId, Status, Target
from .objects import Object
from .publishing import index_entry, named_by_index, read_latest, read_manifest
from .quantities import duration_text, size_text
from .release import BadName
from .retention import Removal, Sweep, sweep
from .watch import BUNDLE_NOTES, digest_of_note

_READERS = 8
# seconds; what charts show
_REMEMBERED = 400 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """What may go. The objects of `images` are tags of the engine, those of `files` paths below the state folder."""

    bucket: Sweep
    images: tuple[Removal, ...]
    files: tuple[Removal, ...]
    fault: str = ""
    """why the engine could not be asked; images stay then, in the bucket too"""

    @property
    def all(self) -> tuple[Removal, ...]:
        return (*self.bucket.retiring, *self.images, *self.bucket.removals, *self.files)

    @property
    def size(self) -> int:
        """Bytes, wherever."""
        return sum(removal.size for removal in self.all)


@dataclass(frozen=True, slots=True)
class Cleanup:
    """Of a farm. One at a time, and in the process of its master if one runs: that one publishes."""

    farm: Farm

    def look(self, *, now: float) -> Waste:
        """now: seconds since the epoch. Raises StoreError."""
        self.farm.publisher.begin_removal()
        found, needed = contents(self.farm.bucket), self._needed()
        sizes: dict[str, int] = {}
        fault = ""
        try:
            sizes = self.farm.engines.sizes()
        except EngineError as error:
            fault = error.brief
            # the bucket's say which of the engine's are ours
            needed = replace(needed, images=frozenset(each.key for each in found.objects))
        return Waste(
            bucket=sweep(found, needed, self.farm.settings.retention, now=now),
            images=tuple(self._images(found, sizes, now)),
            files=(*self._cached(), *self._leftovers(now)),
            fault=fault,
        )

    def remove(self, waste: Waste, say: Callable[[str], None]) -> None:
        """Does it. say: called with what had to stay for now, a line each. Raises StoreError, EngineError."""
        self._retire(waste.bucket, say)
        for image in waste.images:
            for found in image.objects:
                if not self.farm.engines.remove_image(found.key):
                    say(f"{found.key} stays: a container uses it")
        for removal in waste.bucket.removals:
            self._remove(removal, say)
        for removal in waste.files:
            for found in removal.objects:
                path = self.farm.paths.state / found.key
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        self.farm.history.forget(before=time.time() - _REMEMBERED)

    def _retire(self, found: Sweep, say: Callable[[str], None]) -> None:
        store, bucket, publisher = self.farm.store, self.farm.bucket, self.farm.publisher
        gone = {removal.version for removal in (*found.retiring, *found.removals) if _takes_manifests(removal)}
        # or a master that starts would look for their manifests, to index them again
        store.forget_outcomes(
            outcome.build_id
            for outcome in store.outcomes().values()
            if outcome.status is Status.BUILT and (outcome.build_id.module, outcome.module_version) in gone
        )
        # first: what left the index once before may still have the date of that, and would go at once
        if found.retired != _retired(bucket):
            bucket.put(RETIRED, (Retired(versions=found.retired).model_dump_json(indent=1) + "\n").encode())
        for removal in found.retiring:
            if removal.version and not publisher.withdraw(removal.version, _keys(removal), removal.instead):
                say(f"{removal.what} stays: a build of it was published meanwhile")

    def _remove(self, removal: Removal, say: Callable[[str], None]) -> None:
        if removal.version:
            if not self.farm.publisher.remove(removal.version, _keys(removal)):
                say(f"{removal.what} stay: a build of it was published meanwhile")
        elif removal.objects[0].key.startswith("headers/"):
            digests: defaultdict[str, list[str]] = defaultdict(list)
            for note, sha256 in self.farm.store.metas(BUNDLE_NOTES).items():
                digests[sha256].append(note.removeprefix(BUNDLE_NOTES))
            for found in removal.objects:
                if not self.farm.supply.drop_bundle(found, digests[sha256_of_headers(found.key)]):
                    say(f"{found.key} stays: it has been made again")
        else:
            # the database knows them too
            self.farm.runs.forget_runs({run for key in _keys(removal) if (run := run_of_key(key))})
            self.farm.bucket.delete(_keys(removal))

    def _needed(self) -> Needed:
        store = self.farm.store
        notes = store.metas(BUNDLE_NOTES)
        known = (kernel for listed in store.listed().values() for kernel in listed)
        kernels = {digest for kernel in known for digest in kernel.headers_digests}
        return Needed(
            versions={name: found.version for name, found in store.module_versions().items()},
            bundles=frozenset(sha256 for note, sha256 in notes.items() if digest_of_note(note) in kernels),
            images=frozenset(recipe.key for recipe in self._recipes()),
            runs=frozenset(run.id for run in self.farm.runs.runs(is_open=True)),
        )

    def _recipes(self) -> Iterator[Recipe]:
        for recipe in {**self.farm.recipes, **self.farm.images}.values():
            yield from (recipe, for_preparing(recipe))

    def _images(self, found: Contents, sizes: Mapping[str, int], now: float) -> Iterator[Removal]:
        """Of the engine. One that the bucket has too is ours, and can be loaded again; others may be anybody's."""
        today = {recipe.tag for recipe in self._recipes()}
        before = now - self.farm.settings.retention.grace
        ours = ((tag_of_key(each.key), each.modified) for each in found.objects if each.modified <= before)
        old = tuple(
            Object(key=tag, size=sizes[tag], modified=modified)
            for tag, modified in ours
            if tag in sizes and tag is not None and tag not in today
        )
        if old:
            yield Removal(what="images on the engine", why="of no recipe of today", objects=old)

    def _cached(self) -> Iterator[Removal]:
        limit = size_text(self.farm.settings.retention.cache)
        for kind in CACHES:
            files = self.farm.supply.caches.surplus(kind)
            if files:
                place = self.farm.paths.cache(kind).relative_to(self.farm.paths.state)
                yield Removal(
                    what=f"cached {kind}",
                    why=f"the least recently used beyond {limit}",
                    objects=tuple(Object(key=f"{place}/{f.name}", size=f.size, modified=f.used) for f in files),
                )

    def _leftovers(self, now: float) -> Iterator[Removal]:
        """What a master or command that was killed left behind."""
        grace = self.farm.settings.retention.grace
        places = {"scratch": self.farm.paths.scratch, "inputs": self.farm.paths.state / "inputs"}
        for name, folder in places.items():
            # a worker's own folder is made again before its next build
            old = [path for path in sorted(folder.glob("*/")) if any(path.iterdir())]
            old = [path for path in old if path.stat().st_mtime <= now - grace]
            if old:
                yield Removal(
                    what=f"leftovers in {name}",
                    why=f"not used for {duration_text(grace)}",
                    objects=tuple(
                        Object(key=f"{name}/{path.name}", size=_size(path), modified=path.stat().st_mtime)
                        for path in old
                    ),
                )


def contents(bucket: Bucket) -> Contents:
    """The whole bucket, with every manifest read. Raises StoreError."""
    objects = tuple(bucket.list())
    keys = [each.key for each in objects if each.key.startswith("modules/") and each.key.endswith(f"/{MANIFEST}")]
    with ThreadPoolExecutor(_READERS) as pool:
        manifests = dict(zip(keys, pool.map(lambda key: read_manifest(bucket, key), keys), strict=True))
        latest = dict(_latest(bucket, objects, pool))
    named = set(named_by_index(bucket, objects)) | {key for entry in latest.values() for key in _named_by(entry)}
    named |= set(_named_singly(bucket, objects, {*named, *_named_by_manifests(manifests.items())}))
    return Contents(
        objects=objects, manifests=manifests, named=frozenset(named), latest=latest, retired=_retired(bucket)
    )


def _latest(bucket: Bucket, objects: Iterable[Object], pool: ThreadPoolExecutor) -> Iterator[tuple[str, IndexEntry]]:
    keys = [each.key for each in objects if each.key.startswith(LATEST)]
    for key, entry in zip(keys, pool.map(lambda key: read_latest(bucket, key), keys), strict=True):
        if entry is not None:
            yield key, entry


def _named_by(entry: IndexEntry) -> Iterator[str]:
    yield from (entry.manifest, *(file.key for file in entry.files))


def _named_by_manifests(manifests: Iterable[tuple[str, Manifest]]) -> Iterator[str]:
    for key, manifest in manifests:
        yield from (key, manifest.log, *(file.key for file in manifest.files))


def _named_singly(bucket: Bucket, objects: Iterable[Object], named: set[str]) -> Iterator[str]:
    """What only the index object of a kernel release names; read where something would else be named by nobody."""
    # a build's files may be a folder deeper (`publishing`)
    folders = {build_of_key(each.key) for each in objects if each.key not in named}
    for folder in folders:
        place, *parts = folder.split("/")
        if place == "modules" and len(parts) == 6:
            module, version, distro, series, arch, release = parts
            try:
                target = Target(distro=distro, series=series, arch=arch)
                entry = index_entry(bucket, BuildId(module=module, target=target, release=release), version)
            except BadName:
                continue  # no build's place
            if entry:
                yield from _named_by(entry)


def _retired(bucket: Bucket) -> dict[str, float]:
    data = bucket.get(RETIRED)
    try:
        return dict(Retired.model_validate_json(data).versions) if data else {}
    except ValidationError as damage:
        raise StoreError(f"{RETIRED}: not what kmodci wrote: {damage}", hint="delete it; a grace begins anew") from None


def _takes_manifests(removal: Removal) -> bool:
    return any(each.key.startswith("index/") or each.key.endswith(f"/{MANIFEST}") for each in removal.objects)


def _keys(removal: Removal) -> Sequence[str]:
    return [each.key for each in removal.objects]


def _size(path: Path) -> int:
    return sum(each.lstat().st_size for each in (path, *path.rglob("*")))
