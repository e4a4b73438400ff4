"""Publishing, and the index that says what is published.

A reader finds an index object first, so that is written last: what an index names is always there. A build may
be published twice, since a step of a build may run twice; equal builds give equal bytes under equal keys.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import zstandard
from pydantic import ValidationError

from .bucket import Objects
from .errors import StoreError
from .keys import MANIFEST, version_index_key
from .manifest import Artifact, Built, IndexEntry, Manifest, Record, VersionIndex, entry_of, manifest_of
from .verify import ModuleFacts, compress

_Kind = TypeVar("_Kind", bound=Record)


def artifact(facts: ModuleFacts, ko: bytes, config: Mapping[str, str]) -> Artifact:
    """A verified module as it will be stored. config: its kernel's."""
    content, suffix = compress(ko, config)
    return Artifact(facts=facts, name=facts.file + suffix, content=content, sha256=hashlib.sha256(content).hexdigest())


def publish(bucket: Objects, built: Built) -> Manifest:
    """Files and log, then the manifest, then what a node reads. Repeated after an error, it does the same again.

    The index of the whole version is `put_version_index`, for the caller to write when it is worth it.
    Raises StoreError, and VerifyError for a file that is no module's.
    """
    manifest = manifest_of(built)
    for artifact, file in zip(built.artifacts, manifest.files, strict=True):
        bucket.put(file.key, artifact.content)
    bucket.put(manifest.log, zstandard.ZstdCompressor(level=9).compress(built.log))
    entry = entry_of(manifest)
    bucket.put(entry.manifest, _json(manifest))
    bucket.put(entry.key, _json(entry))
    return manifest


def put_version_index(bucket: Objects, module: str, version: str, entries: Iterable[IndexEntry]) -> None:
    """Writes the index of one version whole. It grows with the kernels: once per run, or every so often, will do."""
    ordered = sorted(entries, key=lambda entry: (entry.distro, entry.arch, entry.release))
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


def read_manifest(bucket: Objects, key: str) -> Manifest:
    """One manifest by its key. Raises StoreError if it is not there, or not one."""
    data = bucket.get(key)
    if data is None:
        raise StoreError(f"{key} is not in the bucket", hint="build it again with --rebuild")
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

    builds: int
    removed: tuple[str, ...]
    """keys of index objects that named nothing any more"""


def rebuild_index(bucket: Objects) -> Rebuilt:
    """Makes the whole index anew from the manifests. Raises StoreError."""
    versions: dict[tuple[str, str], dict[str, IndexEntry]] = {}
    # of two series that have the same release, the newer build counts, as it did when it was published
    for manifest in sorted(manifests(bucket), key=lambda manifest: manifest.finished):
        entry = entry_of(manifest)
        versions.setdefault((entry.module, entry.version), {})[entry.key] = entry
    written: set[str] = set()
    for (module, version), entries in versions.items():
        for key, entry in entries.items():
            bucket.put(key, _json(entry))
        put_version_index(bucket, module, version, entries.values())
        written |= {*entries, version_index_key(module, version)}
    removed = tuple(found.key for found in bucket.list("index/") if found.key not in written)
    bucket.delete(removed)
    return Rebuilt(builds=sum(len(entries) for entries in versions.values()), removed=removed)


def _json(record: Record) -> bytes:
    return (record.model_dump_json(indent=1) + "\n").encode()


def _read(kind: type[_Kind], key: str, data: bytes) -> _Kind:
    try:
        return kind.model_validate_json(data)
    except ValidationError as damage:
        raise StoreError(
            f"{key}: not what kmodci wrote: {damage}", hint="`kmodci index rebuild` makes the index"
        ) from None
