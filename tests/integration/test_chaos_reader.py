"""A reader of the index while much is published: what it reads is whole, and never older than what it read before."""

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import TypeVar

import pytest
from kmodci.bucket import Bucket
from kmodci.errors import StoreError
from kmodci.keys import version_index_key
from kmodci.manifest import Artifact, Built, IndexEntry, PublishedFile, VersionIndex, entry_of, manifest_of
from kmodci.products import Publisher
from pydantic import ValidationError
from support.builds import SERIES, built
from support.s3 import bucket, s3

__all__ = ["bucket", "s3"]

# it needs no engine, but takes as long as tests that do
pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

Kind = TypeVar("Kind", IndexEntry, VersionIndex)

PUBLISHES, LOOK_EVERY = 1000, 0.01
# so many publishes of a kernel in a row have the same bytes, as when a step is repeated; then others
GENERATIONS = 3


def generations() -> Iterator[Built]:
    """Builds of a few kernels, each again and again; some with the bytes of the time before, some with others."""
    for number, release in enumerate(cycle(SERIES)):
        made = built(release)
        generation = number // len(SERIES) // GENERATIONS
        artifacts = tuple(_changed(artifact, generation) for artifact in made.artifacts)
        kernel = replace(made.kernel, version=f"6.0-{generation}")
        yield replace(made, kernel=kernel, artifacts=artifacts, finished=float(number))


def _changed(artifact: Artifact, generation: int) -> Artifact:
    content = artifact.content + b"%d" % generation
    return replace(artifact, content=content, sha256=hashlib.sha256(content).hexdigest())


class Reader(threading.Thread):
    """Looks at one kernel's object and at the version's, as nodes do, until told to stop."""

    def __init__(self, bucket: Bucket, entry: str, version: str) -> None:
        super().__init__()
        self._bucket, self._entry, self._version = bucket, entry, version
        self._newest: dict[str, int] = {}
        self._seen: set[PublishedFile] = set()
        self.stop = threading.Event()
        self.looks, self.compared, self.again = 0, 0, 0
        self.faults: list[str] = []

    def run(self) -> None:
        while not self.stop.wait(LOOK_EVERY):
            self.looks += 1
            entry = self._read(IndexEntry, self._entry)
            version = self._read(VersionIndex, self._version)
            self._check((entry,) if entry else (), "entry")
            self._check(version.kernels if version else (), "version")

    def _read(self, kind: type[Kind], key: str) -> Kind | None:
        for _ in range(5):
            try:
                data = self._bucket.get(key)
                return None if data is None else kind.model_validate_json(data)
            except (StoreError, ValidationError):
                # the embedded server, in the moment that an object is written over
                self.again += 1
        self.faults.append(f"{key} cannot be read")
        return None

    def _check(self, entries: Sequence[IndexEntry], where: str) -> None:
        for entry in entries:
            seen, generation = f"{where} {entry.release}", int(entry.kernel_version.rpartition("-")[2])
            if generation < self._newest.get(seen, 0):
                self.faults.append(f"{seen}: back from {self._newest[seen]} to {generation}")
            self._newest[seen] = max(generation, self._newest.get(seen, 0))
            for file in entry.files:
                # a node's own kernel each time, for what is there may be written over; the others' once
                if where == "entry" or file not in self._seen:
                    self._compare(file)
                    self._seen.add(file)
        gone = {seen for seen in self._newest if seen.startswith(where)} - {f"{where} {e.release}" for e in entries}
        self.faults += [f"{seen} is not there any more" for seen in gone]

    def _compare(self, file: PublishedFile) -> None:
        content = self._bucket.get(file.key) or b""
        if (len(content), hashlib.sha256(content).hexdigest()) != (file.size, file.sha256):
            self.faults.append(f"{file.key}: {len(content)} bytes, not what the index says")
        self.compared += 1


def test_a_reader_during_a_thousand_publishes(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    first = built(next(iter(SERIES)))
    key = version_index_key(first.module.module, first.module.version)
    reader = Reader(bucket, entry_of(manifest_of(first)).key, key)
    publisher, done = Publisher(bucket), threading.Event()

    def write_indices() -> None:
        while not done.wait(LOOK_EVERY):
            publisher.write_indices()

    # a master's timer, and its end, may write at the same time
    writers = [threading.Thread(target=write_indices) for _ in range(2)]
    began = time.monotonic()
    for thread in (reader, *writers):
        thread.start()
    try:
        for made in islice(generations(), PUBLISHES):
            publisher.publish(made)
    finally:
        done.set()
        for writer in writers:
            writer.join()
        reader.stop.set()
        reader.join()
    assert reader.faults == []
    assert reader.compared > reader.looks > 0
    with capsys.disabled():
        print(
            f"\n{PUBLISHES} publishes in {time.monotonic() - began:.1f} s; {reader.looks} looks at the index"
            f" ({reader.again} objects read again), {reader.compared} files compared"
        )
