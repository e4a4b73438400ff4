"""What of the bucket need not be kept any longer. Decides, and does nothing.

Nothing that an index object names ever goes; of what a manifest names only the build log does, when it is old. What was
written within the grace is left alone, whatever it is: somebody may be about to name it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .contents import Contents, Needed, Version
from .images import tag_of_key
from .keys import MANIFEST, build_of_key, headers_key, run_of_key, sha256_of_headers
from .manifest import IndexEntry, Manifest
from .objects import Object
from .publishing import latest_of
from .quantities import duration_text
from .release import BadName, version_key
from .schema import Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Objects that go for one reason, in the order in which they go."""

    what: str
    why: str
    objects: tuple[Object, ...]
    version: Version | None = None
    """of a module whose objects these are"""
    instead: Mapping[str, IndexEntry | None] = field(default_factory=dict)
    """for a version that leaves the index: what the objects below `latest/` that name it are to say; None: they go"""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(each.size for each in self.objects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is to be removed, in an order that may be broken off anywhere."""

    retiring: tuple[Removal, ...] = ()
    """index objects: from now on, nobody finds these versions"""
    retired: Mapping[str, float] = field(default_factory=dict)
    """to be written down once `retiring` is done"""
    removals: tuple[Removal, ...] = ()


def sweep(found: Contents, needed: Needed, retention: Retention, *, now: float) -> Sweep:
    """now: seconds since the epoch."""
    old = _Old(now=now, grace=retention.grace)
    past = _past(found.manifests.values(), needed.versions, retention.versions)
    leaving = [version for version in past if version in found.indexed and all(map(old, found.indexed[version]))]
    instead = _instead(found, past, leaving)
    over = [version for version in past if _is_over(version, found, old)]
    waiting = [version for version in past if version not in found.indexed and version not in over]
    kept = {key: each for key, each in found.manifests.items() if (each.module, each.version) not in over}
    return Sweep(
        retiring=tuple(
            Removal(
                what=f"index of {' '.join(version)}",
                why=_why_past(past[version], retention),
                objects=(
                    *(each for each in found.objects if instead[version].get(each.key, each) is None),
                    *found.indexed.get(version, ()),
                ),
                version=version,
                instead=instead[version],
            )
            for version in past
            if version in leaving or instead[version]
        ),
        # whose index was there again in the meantime begins its grace anew
        retired={
            **{_name(version): found.retired.get(_name(version), now) for version in waiting},
            **{_name(version): now for version in leaving},
        },
        removals=tuple(
            removal
            for removal in (
                *_modules(over, found, retention),
                *_unnamed(found, kept, past, old),
                *_logs(found, kept, retention, old, now),
                *_bundles(found, kept, needed, old),
                *_images(found, kept, needed, old),
                *_runs(found, needed, retention, old, now),
            )
            if removal.objects
        ),
    )


@dataclass(frozen=True, slots=True)
class _Old:
    now: float
    grace: float

    def __call__(self, found: Object) -> bool:
        return found.modified <= self.now - self.grace


def _past(manifests: Iterable[Manifest], current: Mapping[str, str], count: int) -> dict[Version, int]:
    """The versions beyond the newest, each with its place from the newest, which is 0.

    New is what was first built late: the versions of a branch are commits, whose names have no order.
    """
    first: dict[Version, float] = {}
    for each in manifests:
        version = (each.module, each.version)
        first[version] = min(each.finished, first.get(version, each.finished))
    ordered = sorted(first, key=lambda version: (first[version], version_key(version[1]), version), reverse=True)
    places: defaultdict[str, list[Version]] = defaultdict(list)
    for version in ordered:
        places[version[0]].append(version)
    return {
        version: place
        for versions in places.values()
        for place, version in enumerate(versions)
        if place >= count and current.get(version[0]) != version[1]
    }


def _instead(
    found: Contents, past: Collection[Version], leaving: Collection[Version]
) -> Mapping[Version, Mapping[str, IndexEntry | None]]:
    """By version of the past: who asks for none gets the newest that is left, once it has left the index."""
    stay = found.indexed.keys() - {*leaving}
    newest = latest_of(each for each in found.manifests.values() if (each.module, each.version) in stay)
    named = {key: (entry.module, entry.version) for key, entry in found.latest.items()}
    return {
        version: {key: newest.get(key) for key, of in named.items() if of == version and of not in stay}
        for version in past
    }


def _is_over(version: Version, found: Contents, old: _Old) -> bool:
    """Whether its index has been gone for the length of the grace: a reader may have read it just before it went."""
    since = found.retired.get(_name(version))
    objects = found.by_version.get(version, ())
    if since is None or since > old.now - old.grace or version in found.indexed:
        return False
    return all(old(each) and each.key not in found.named for each in objects)


def _why_past(place: int, retention: Retention) -> str:
    kept = f"{retention.versions} are kept" if retention.versions != 1 else "one is kept"
    return f"{place} newer versions were built, {kept}; its modules go {duration_text(retention.grace)} later"


def _modules(over: Iterable[Version], found: Contents, retention: Retention) -> Iterator[Removal]:
    """Manifests before files: a manifest whose files are gone would name what is not there."""
    for version in over:
        objects = found.by_version[version]
        since = datetime.fromtimestamp(found.retired[_name(version)], UTC).strftime("%Y-%m-%d")
        yield Removal(
            what=f"modules of {' '.join(version)}",
            why=f"left the index on {since}, more than {duration_text(retention.grace)} ago",
            objects=tuple(sorted(objects, key=lambda each: (not each.key.endswith(f"/{MANIFEST}"), each.key))),
            version=version,
        )


def _unnamed(found: Contents, kept: Mapping[str, Manifest], past: Collection[Version], old: _Old) -> Iterator[Removal]:
    named = {*found.named, *kept}
    # a build that was published again of late has left something behind that a reader may still be about to fetch
    recent = {build_of_key(each.key) for each in found.objects if each.key in kept and not old(each)}
    for manifest in kept.values():
        named |= {manifest.log, *(file.key for file in manifest.files)}
    for version, objects in found.by_version.items():
        # an index that has just been left may have named them; they go with the rest of their version
        if version not in past:
            yield Removal(
                what=f"leftovers of {' '.join(version)}",
                why="no index and no manifest names them",
                objects=tuple(
                    each
                    for each in objects
                    if each.key not in named and old(each) and build_of_key(each.key) not in recent
                ),
                version=version,
            )


def _logs(
    found: Contents, kept: Mapping[str, Manifest], retention: Retention, old: _Old, now: float
) -> Iterator[Removal]:
    logs = {manifest.log: (manifest.module, manifest.version) for manifest in kept.values()}
    groups: defaultdict[Version, list[Object]] = defaultdict(list)
    for each in found.objects:
        if each.key in logs and old(each) and each.modified <= now - retention.logs and each.key not in found.named:
            groups[logs[each.key]].append(each)
    for version, objects in groups.items():
        yield Removal(
            what=f"build logs of {' '.join(version)}",
            why=f"older than {duration_text(retention.logs)}",
            objects=tuple(objects),
            version=version,
        )


def _bundles(found: Contents, kept: Mapping[str, Manifest], needed: Needed, old: _Old) -> Iterator[Removal]:
    wanted = {manifest.headers for manifest in kept.values()} | {headers_key(sha256) for sha256 in needed.bundles}
    yield Removal(
        what="header bundles",
        why="of no kernel that is known, and no module that is kept",
        objects=tuple(each for each in found.objects if _is_bundle(each.key) and each.key not in wanted and old(each)),
    )


def _images(found: Contents, kept: Mapping[str, Manifest], needed: Needed, old: _Old) -> Iterator[Removal]:
    used = {manifest.image for manifest in kept.values()}
    yield Removal(
        what="toolchain images",
        why="of no recipe of today, and no module that is kept",
        objects=tuple(
            each
            for each in found.objects
            if (tag := tag_of_key(each.key)) is not None
            and each.key not in needed.images
            and tag.rpartition(":")[2] not in used
            and old(each)
        ),
    )


def _runs(found: Contents, needed: Needed, retention: Retention, old: _Old, now: float) -> Iterator[Removal]:
    groups: defaultdict[str, list[Object]] = defaultdict(list)
    for each in found.objects:
        if run := run_of_key(each.key):
            groups[run].append(each)
    written = {run: max(each.modified for each in objects) for run, objects in groups.items()}
    newest = max(written, key=lambda run: (written[run], run), default="")
    kept = {newest, *needed.runs}
    past = [run for run in sorted(groups) if run not in kept and written[run] <= now - retention.runs]
    yield Removal(
        what="notes of runs",
        why=f"older than {duration_text(retention.runs)}",
        objects=tuple(each for run in past if all(old(each) for each in groups[run]) for each in groups[run]),
    )


def _is_bundle(key: str) -> bool:
    try:
        return bool(sha256_of_headers(key))
    except BadName:
        return False


def _name(version: Version) -> str:
    return "/".join(version)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFile:
    """A file that can be had again."""

    name: str
    size: int
    """bytes"""
    used: float
    """when last, in seconds since the epoch"""


def overflow(files: Iterable[CachedFile], limit: int, *, spare: int = 64) -> Sequence[CachedFile]:
    """What has to go so that the rest fits into a limit in bytes: the least recently used first.

    spare: so many of the last used stay, because builds are about to use them.
    """
    by_use = sorted(files, key=lambda file: (file.used, file.name))
    room = sum(file.size for file in by_use) - limit
    gone: list[CachedFile] = []
    for file in by_use[: max(len(by_use) - spare, 0)]:
        if room <= 0:
            break
        room -= file.size
        gone.append(file)
    return gone
