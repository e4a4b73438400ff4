"""Publishing, and the index that says what is published.

A reader finds an index object first, so that is written last: what an index names is always there. Who does not know
the version finds `latest/` before it, so that is written after it. A build may be published twice, since a step of a
build may run twice; equal builds give equal bytes under equal keys.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import zstandard
from pydantic import ValidationError

from .errors import StoreError
from .keys import KERNEL_LISTS, LATEST, MANIFEST, index_key, latest_key, version_index_key
from .manifest import Artifact, Built, IndexEntry, Manifest, PublishedFile, Record, VersionIndex, entry_of, manifest_of
from .model import BuildId
from .objects import Object, Objects
from .release import check_name, version_key
from .verify import ModuleFacts, compress

_Kind = TypeVar("_Kind", bound=Record)


def artifact(facts: ModuleFacts, ko: bytes, config: Mapping[str, str]) -> Artifact:
    """A verified module as it will be stored. config: its kernel's."""
    content, suffix = compress(ko, config)
    return Artifact(facts=facts, name=facts.file + suffix, content=content, sha256=hashlib.sha256(content).hexdigest())


def publish(bucket: Objects, built: Built) -> Manifest:
    """Files and log, then the manifest, then what a node reads. Repeated after an error, it goes on where that was.

    The index of the whole version is `put_version_index`, for the caller to write when it is worth it.
    Raises StoreError, and VerifyError for a file that is no module's.
    """
    manifest = manifest_of(built)
    pairs = zip(manifest.files, built.artifacts, strict=True)
    manifest = manifest.model_copy(update={"files": tuple(_put_file(bucket, f, a.content) for f, a in pairs)})
    bucket.put(manifest.log, zstandard.ZstdCompressor(level=9).compress(built.log))
    entry = entry_of(manifest)
    bucket.put(entry.manifest, _json(manifest))
    bucket.put(entry.key, _json(entry))
    if not manifest.by_hand:
        put_latest(bucket, entry)
    return manifest


def _put_file(bucket: Objects, file: PublishedFile, content: bytes) -> PublishedFile:
    """Writes a module where no other is: the index names the one of an earlier build until the very last."""
    there = bucket.get(file.key)
    if there is not None and there != content:
        folder, _, name = file.key.rpartition("/")
        file, there = file.model_copy(update={"key": f"{folder}/{file.sha256[:16]}/{name}"}), None
    if there is None:
        bucket.put(file.key, content)
    return file


def put_version_index(bucket: Objects, module: str, version: str, entries: Iterable[IndexEntry]) -> None:
    """Writes the index of one version whole. It grows with the kernels: once per run, or every so often, will do."""
    ordered = sorted(entries, key=lambda entry: (entry.distro, entry.arch, entry.release, entry.series))
    bucket.put(
        version_index_key(module, version),
        _json(VersionIndex(module=module, version=version, kernels=tuple(ordered))),
    )


def version_index(bucket: Objects, module: str, version: str) -> VersionIndex:
    """The index of one version; empty if none was written. Raises StoreError."""
    data = bucket.get(version_index_key(module, version))
    if data is None:
        return VersionIndex(module=module, version=version, kernels=())
    return _read(VersionIndex, version_index_key(module, version), data)


def index_entry(bucket: Objects, build: BuildId, version: str) -> IndexEntry | None:
    """What a node reads of one version; None if that is not built. Raises StoreError, BadName."""
    key = index_key(build.module, version, build.target, build.release)
    data = bucket.get(key)
    return None if data is None else _read(IndexEntry, key, data)


def put_latest(bucket: Objects, entry: IndexEntry) -> None:
    """What a node gets that asks for no version. Raises StoreError."""
    bucket.put(entry.latest_key, _json(entry))


def latest_entry(bucket: Objects, build: BuildId) -> IndexEntry | None:
    """What a node reads that asks for no version; None if there is nothing. Raises StoreError, BadName."""
    return read_latest(bucket, latest_key(build.module, build.target, build.release))


def read_latest(bucket: Objects, key: str) -> IndexEntry | None:
    """The same by its key. Raises StoreError."""
    data = bucket.get(key)
    return None if data is None else _read(IndexEntry, key, data)


def latest_of(found: Iterable[Manifest]) -> dict[str, IndexEntry]:
    """What `latest/` should say, by key: of each kernel release the last build, but for those by hand."""
    ordered = sorted((each for each in found if not each.by_hand), key=lambda manifest: manifest.finished)
    return {entry.latest_key: entry for entry in map(entry_of, ordered)}


def named_by_index(bucket: Objects, objects: Iterable[Object]) -> Iterator[str]:
    """The keys that the index of each version names. objects: a listing. Raises StoreError."""
    for found in objects:
        parts = found.key.split("/")
        if parts[0] == "index" and len(parts) == 3:
            for entry in version_index(bucket, parts[1], parts[2].removesuffix(".json")).kernels:
                yield from (entry.manifest, *(file.key for file in entry.files))


def versions_of(bucket: Objects, module: str) -> list[str]:
    """The versions of a module that the index has, the newest last. Raises StoreError."""
    keys = (found.key.split("/") for found in bucket.list(f"index/{check_name(module, 'module')}/"))
    return sorted({key[2] for key in keys if len(key) > 3}, key=version_key)


def read_manifest(bucket: Objects, key: str) -> Manifest:
    """One manifest by its key. Raises StoreError if it is not there, or not one."""
    data = bucket.get(key)
    if data is None:
        raise StoreError(f"{key} is not in the bucket", hint="force its build, with rebuild")
    return _read(Manifest, key, data)


def manifests(bucket: Objects) -> Iterator[Manifest]:
    """Every manifest in the bucket whose files are there too. Raises StoreError."""
    sizes: dict[str, int] = {}
    for found in bucket.list("modules/"):
        # a listing is in the order of keys, and a build's other files need not come before its manifest
        sizes[found.key] = found.size
    for key in sizes:
        if key.endswith(f"/{MANIFEST}") and (data := bucket.get(key)) is not None:
            manifest = _read(Manifest, key, data)
            if all(sizes.get(file.key) == file.size for file in manifest.files):
                yield manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What rebuilding the index did."""

    manifests: tuple[Manifest, ...]
    """what it was made from"""
    removed: tuple[str, ...]
    """keys of index objects that named nothing any more"""


def rebuild_index(bucket: Objects) -> Rebuilt:
    """Makes the whole index anew from the manifests. Raises StoreError."""
    found = sorted(manifests(bucket), key=lambda manifest: manifest.finished)
    entries = [entry_of(manifest) for manifest in found]
    # of two series that have the same release, the newer build counts, as it did when it was published
    objects = {entry.key: entry for entry in entries}
    for key, entry in objects.items():
        bucket.put(key, _json(entry))
    versions = {(entry.module, entry.version) for entry in entries}
    for version in versions:
        put_version_index(bucket, *version, [each for each in entries if (each.module, each.version) == version])
    latest = latest_of(found)
    for entry in latest.values():
        put_latest(bucket, entry)
    written = {*objects, *latest, *(version_index_key(*version) for version in versions)}
    removed = tuple(
        found.key
        # what names no version first, as it is read first
        for prefix in (LATEST, "index/")
        for found in bucket.list(prefix)
        # of no module: a farm writes them again when it starts
        if found.key not in written and not found.key.startswith(KERNEL_LISTS)
    )
    bucket.delete(removed)
    return Rebuilt(manifests=tuple(found), removed=removed)


def _json(record: Record) -> bytes:
    return (record.model_dump_json(indent=1) + "\n").encode()


def _read(kind: type[_Kind], key: str, data: bytes) -> _Kind:
    try:
        return kind.model_validate_json(data)
    except ValidationError as damage:
        raise StoreError(
            f"{key}: not what kmodci wrote: {damage}", hint="`kmodci index rebuild` makes the index"
        ) from None
