"""From what a container wrote to what a node can read: judged, compressed, published, indexed."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .bucket import Bucket
from .distros import layout_of
from .facts import Facts
from .headers import kernel_facts
from .keys import LATEST, latest_key
from .manifest import Artifact, Built, IndexEntry, Manifest, entry_of
from .matrix import Entry
from .model import BUILD_ARCH, BuildId, Kernel, ModuleVersion, Outcome, Status
from .ongoing import Ongoing
from .publishing import (
    artifact,
    publish,
    put_latest,
    put_version_index,
    read_latest,
    read_manifest,
    version_index,
)
from .supply import Bundle
from .verify import verify

# how many objects are deleted while who publishes has to wait
_AT_ONCE = 16
# objects written at once, where there may be thousands of them
_WRITERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One build, with all that it is made of."""

    entry: Entry
    module: ModuleVersion
    key: str
    image: str
    """the toolchain image's tag"""
    environment: Mapping[str, str]
    is_current: bool
    """False for a version that was asked for by hand: its outcome is not the build's status"""
    runs_on: str = BUILD_ARCH
    """the architecture of the host that it is for"""

    @property
    def kernel(self) -> Kernel:
        """With the header packages that it is built with there."""
        return self.entry.kernel.on(self.runs_on)


def judge(job: Job, bundle: Bundle, files: Mapping[str, bytes]) -> tuple[Artifact, ...]:
    """What may be published of a build's files, as it will be stored. Raises VerifyError with every reason why not."""
    kernel = job.entry.kernel
    symvers, config = kernel_facts(bundle.path, layout_of(kernel), has_symvers=kernel.has_symvers)
    facts = verify(files, release=kernel.release, arch=kernel.target.arch, symvers=symvers, config=config)
    return tuple(artifact(fact, files[fact.file], config) for fact in facts)


def built(
    job: Job,
    bundle: Bundle,
    artifacts: tuple[Artifact, ...],
    facts: Facts,
    *,
    log: str,
    url: str,
    started: float,
    finished: float,
) -> Built:
    """A judged build, ready to be published. started, finished: seconds since the epoch."""
    return Built(
        kernel=job.kernel,
        module=job.module,
        artifacts=artifacts,
        log=log.encode("utf-8", "replace"),
        headers_sha256=bundle.sha256,
        toolchain=job.entry.toolchain,
        exact=job.entry.is_exact,
        image=job.image.rpartition(":")[2],
        runs_on=job.runs_on,
        compiler=facts.compiler,
        inputs=job.key,
        by_hand=not job.is_current,
        build_url=url,
        started=started,
        finished=finished,
        make_seconds=facts.make.user + facts.make.system,
    )


@dataclass(slots=True)
class Publisher:
    """Puts builds into the bucket: each at once, the index of its whole version now and then.

    One per bucket: the index of a version is read, changed and written here only.
    """

    bucket: Bucket
    _entries: dict[tuple[str, str], dict[str, IndexEntry]] = field(default_factory=dict)
    _changed: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _published: Ongoing[tuple[str, str]] = field(default_factory=Ongoing)
    """versions that builds were published of since `begin_removal`"""
    _pointed: Ongoing[str] = field(default_factory=Ongoing)
    """keys below `latest/` that were written since then"""
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def publish(self, made: Built) -> Manifest:
        """Raises StoreError; may then be called again with the same."""
        version = (made.module.module, made.module.version)
        latest = latest_key(made.module.module, made.kernel.target, made.kernel.release)
        with self._lock:
            self._published.begin(version)
            self._pointed.begin(latest)
        try:
            manifest = publish(self.bucket, made)
        finally:
            with self._lock:
                self._published.end(version)
                self._pointed.end(latest)
        self._note(manifest)
        return manifest

    def entries(self, module: str, version: str) -> Mapping[str, IndexEntry]:
        """What is published of a version, by build id; a copy. Raises StoreError."""
        with self._lock:
            return dict(self._known((module, version)))

    def begin_removal(self) -> None:
        """Before the bucket is listed for what may go."""
        with self._lock:
            self._published.look()
            self._pointed.look()

    def remove(self, version: tuple[str, str], keys: Sequence[str]) -> bool:
        """Deletes objects of a version, unless a build of it was published since they were listed: then it stops.

        version: module and version. Returns whether all are gone. Raises StoreError.
        """
        for start in range(0, len(keys), _AT_ONCE):
            with self._lock:
                if version in self._published:
                    return False
                self.bucket.delete(keys[start : start + _AT_ONCE])
        return True

    def withdraw(self, version: tuple[str, str], keys: Sequence[str], instead: Mapping[str, IndexEntry | None]) -> bool:
        """The same for a version's index objects, that of the whole version first; before these, what names no version.

        instead: what the objects below `latest/` that name this version are to say; None: they go.
        """
        if not all(self._point(version, key, entry) for key, entry in instead.items()):
            return False
        with self._lock:
            if version not in self._published:
                # read again when something of it is published
                self._entries.pop(version, None)
                self._changed.discard(version)
        return self.remove(version, [key for key in keys if key not in instead])

    def _point(self, version: tuple[str, str], key: str, entry: IndexEntry | None) -> bool:
        """Whether an object below `latest/` does not name the version any more."""
        with self._lock:
            if version in self._published:
                return False
            if key in self._pointed:
                # its own word is newer than what we know; but it may have failed, or have yet to be said
                now = read_latest(self.bucket, key)
                return now is None or now.version != version[1]
            if entry is None:
                self.bucket.delete([key])
            else:
                put_latest(self.bucket, entry)
            return True

    def _note(self, manifest: Manifest) -> None:
        with self._lock:
            version = (manifest.module, manifest.version)
            self._known(version)[manifest.build_id] = entry_of(manifest)
            self._changed.add(version)

    def _known(self, version: tuple[str, str]) -> dict[str, IndexEntry]:
        if version not in self._entries:
            kernels = version_index(self.bucket, *version).kernels
            self._entries[version] = {_build_id(entry): entry for entry in kernels}
        return self._entries[version]

    def catch_up(self, outcomes: Mapping[str, Outcome]) -> tuple[BuildId, ...]:
        """At a start: what was published, but not yet in its version's index when the master ended.

        outcomes: by build id. Returns the builds that are taken for built, and are not in the bucket any more.
        """
        lost: dict[BuildId, None] = {}
        wanted: defaultdict[tuple[str, str], list[Outcome]] = defaultdict(list)
        for outcome in outcomes.values():
            if outcome.status is Status.BUILT:
                wanted[outcome.build_id.module, outcome.module_version].append(outcome)
        for version, group in wanted.items():
            with self._lock:
                known = self._known(version)
            for outcome in group:
                entry = known.get(str(outcome.build_id))
                if entry is not None and entry.kernel_version == outcome.kernel_version:
                    continue
                if self.bucket.size(outcome.manifest) is None:
                    lost[outcome.build_id] = None
                else:
                    self._note(read_manifest(self.bucket, outcome.manifest))
        self._put_missing_latest(outcome for outcome in outcomes.values() if outcome.build_id not in lost)
        return tuple(lost)

    def _put_missing_latest(self, outcomes: Iterable[Outcome]) -> None:
        """Of a bucket that an older kmodci filled, or whose copy came without them."""
        there = {found.key for found in self.bucket.list(LATEST)}
        missing: dict[str, IndexEntry] = {}
        for outcome in sorted(outcomes, key=lambda each: each.finished):
            if outcome.status is Status.BUILT:
                with self._lock:
                    known = self._known((outcome.build_id.module, outcome.module_version))
                    entry = known[str(outcome.build_id)]
                missing[entry.latest_key] = entry
        with ThreadPoolExecutor(_WRITERS) as pool:
            for _ in pool.map(lambda key: put_latest(self.bucket, missing[key]), missing.keys() - there):
                pass

    def write_indices(self) -> int:
        """Writes the version indices that something was published for since. Returns how many."""
        # one at a time, from the look to the last byte: of two, the one that looked first may write last
        with self._writing:
            with self._lock:
                changed, self._changed = self._changed, set()
                snapshots = {version: list(self._entries[version].values()) for version in changed}
            try:
                for (module, version), entries in snapshots.items():
                    put_version_index(self.bucket, module, version, entries)
            except BaseException:
                with self._lock:
                    self._changed |= changed
                raise
            return len(snapshots)

    @property
    def is_behind(self) -> bool:
        """Whether a version's index has yet to be written."""
        return bool(self._changed)


# A master that reads its configuration again opens its farm again, while builds of before still publish.
_publishers: dict[tuple[str, str], Publisher] = {}


def publisher_of(bucket: Bucket) -> Publisher:
    """The one publisher of a bucket in this process."""
    return _publishers.setdefault((bucket.endpoint, bucket.bucket), Publisher(bucket))


def _build_id(entry: IndexEntry) -> str:
    return f"{entry.module}/{entry.distro}-{entry.series}-{entry.arch}/{entry.release}"
