"""What can be learned again from the bucket alone: the index, and what the store knew of builds."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .bucket import Bucket
from .keys import sha256_of_headers
from .manifest import Manifest, entry_of
from .model import BuildId, Evidence, Outcome, PackageKind, Status, headers_digest
from .products import Publisher
from .publishing import latest_of, manifests, put_latest, rebuild_index
from .store import Store, compiler_note
from .watch import bundle_note

_CAUGHT_UP = "caught-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What was done. Build ids, but for index_removed: keys."""

    published: int
    """builds whose manifest and files are in the bucket; the index names them"""
    index_removed: tuple[str, ...]
    learned: tuple[str, ...]
    """builds that the store knows again"""
    forgotten: tuple[str, ...]
    """builds that the store took for built, and that are not in the bucket any more"""
    bundles: int
    """header bundles that the store knows again"""


def recover(bucket: Bucket, store: Store) -> Recovered:
    """Makes the index anew, and tells the store what is built. No farm may run on either. Raises StoreError."""
    index = rebuild_index(bucket)
    known = store.outcomes()
    there = {entry_of(manifest).manifest for manifest in index.manifests}
    gone = {name for name, last in known.items() if last.status is Status.BUILT and last.manifest not in there}
    # what else the store knows is as new as the bucket, as a rule
    stays = known.keys() - gone
    made = outcomes_of(index.manifests)
    learned = {name: each for name, each in made.items() if name not in stays or each.finished > known[name].finished}
    forgotten = sorted(gone - learned.keys())
    store.forget_outcomes(known[name].build_id for name in forgotten)
    store.put_outcomes(learned.values())
    bundles = _bundles(index.manifests, {found.key for found in bucket.list("headers/")})
    lost = {note: sha256 for note, sha256 in bundles.items() if not store.meta(note)}
    store.put_metas({**lost, **_compilers(index.manifests)})
    return Recovered(
        published=len(index.manifests),
        index_removed=index.removed,
        learned=tuple(sorted(learned)),
        forgotten=tuple(forgotten),
        bundles=len(lost),
    )


def catch_up(bucket: Bucket, store: Store, publisher: Publisher) -> None:
    """At a start, before anything is planned: the store is told what the bucket has and has not. Raises StoreError.

    A store that knows of nothing that is built learns every build that is published: its database was lost, and nothing
    is built again for that.
    """
    known = store.outcomes()
    if all(each.status is not Status.BUILT for each in known.values()):
        found = list(manifests(bucket))
        # what failed after it was built is as it was
        made = {
            name: each
            for name, each in outcomes_of(found).items()
            if name not in known or each.finished > known[name].finished
        }
        store.put_outcomes(made.values())
        known = {**known, **made}
        # a master that was killed just before it wrote one would have done the build again, had it known of it
        for entry in latest_of(found).values():
            put_latest(bucket, entry)
        bundles = _bundles(found, (each.key for each in bucket.list("headers/")))
        store.put_metas({**bundles, **_compilers(found)})
    store.forget_outcomes(publisher.catch_up(known))
    store.put_meta(_CAUGHT_UP, str(time.time()))


def caught_up(store: Store) -> float:
    """When a start last had (seconds since the epoch), 0 for never: before that, nobody knows what is to be built."""
    return float(store.meta(_CAUGHT_UP) or 0)


def outcomes_of(manifests: Iterable[Manifest]) -> dict[str, Outcome]:
    """By build id; of several versions of a module the one that was built last, but for those by hand."""
    due = (manifest for manifest in manifests if not manifest.by_hand)
    newest = {manifest.build_id: manifest for manifest in sorted(due, key=lambda each: each.finished)}
    return {build_id: _outcome(manifest) for build_id, manifest in newest.items()}


def _outcome(manifest: Manifest) -> Outcome:
    return Outcome(
        build_id=BuildId.parse(manifest.build_id),
        key=manifest.inputs,
        status=Status.BUILT,
        module_version=manifest.version,
        kernel_version=manifest.kernel_version,
        finished=manifest.finished,
        seconds=manifest.finished - manifest.started,
        make_seconds=manifest.make_seconds,
        build_url=manifest.build_url,
        manifest=entry_of(manifest).manifest,
        image=manifest.image,
    )


def _bundles(manifests: Iterable[Manifest], keys: Iterable[str]) -> Mapping[str, str]:
    """The store's notes of the bundles that are there."""
    there = set(keys)
    made = [manifest for manifest in manifests if manifest.headers in there]
    return {bundle_note(_digest(each)): sha256_of_headers(each.headers) for each in made}


def _compilers(manifests: Iterable[Manifest]) -> Mapping[str, str]:
    """The store's notes of the compilers that headers named: without them, what is built seems built with another."""
    told = [manifest for manifest in manifests if manifest.evidence == Evidence.CONFIG]
    return {compiler_note(_digest(each)): each.kernel_toolchain for each in told}


def _digest(manifest: Manifest) -> str:
    is_source = manifest.packages[0].kind is PackageKind.SOURCE
    return headers_digest((package.identity for package in manifest.packages), manifest.release if is_source else "")
