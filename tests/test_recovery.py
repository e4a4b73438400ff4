"""What a master learns from the bucket when it starts: a real database and a real S3 server."""

import hashlib
from dataclasses import replace

import pytest
from kmodci.bucket import Bucket
from kmodci.keys import LATEST
from kmodci.manifest import entry_of
from kmodci.model import Evidence, PackageKind, Status
from kmodci.products import Publisher
from kmodci.publishing import publish, read_latest, version_index
from kmodci.recovery import catch_up, outcomes_of
from kmodci.store import Store
from kmodci.watch import bundle_note
from support.builds import SERIES, built
from support.s3 import bucket, s3

__all__ = ["bucket", "s3"]


@pytest.fixture
def store() -> Store:
    store = Store("sqlite://")
    store.create()
    return store


def test_a_lost_database_learns_every_published_build(bucket: Bucket, store: Store) -> None:
    manifests = [publish(bucket, built(release)) for release in SERIES]
    publisher = Publisher(bucket)
    catch_up(bucket, store, publisher)
    known = store.outcomes()
    assert {name: (each.status, each.key) for name, each in known.items()} == {
        manifest.build_id: (Status.BUILT, manifest.inputs) for manifest in manifests
    }
    assert {each.image for each in known.values()} == {manifest.image for manifest in manifests}
    publisher.write_indices()
    index = version_index(bucket, manifests[0].module, manifests[0].version)
    assert {entry.release for entry in index.kernels} == set(SERIES), "and the index has them too"


def test_a_lost_database_learns_the_compilers_that_headers_named(bucket: Bucket, store: Store) -> None:
    found = dict(zip(Evidence, SERIES, strict=True))
    kernels = {}
    for evidence, release in found.items():
        made = built(release)
        package = replace(made.kernel.headers[0], sha256=hashlib.sha256(release.encode()).hexdigest())
        kernels[evidence] = replace(made.kernel, headers=(package,), evidence=evidence)
        publish(bucket, replace(made, kernel=kernels[evidence]))
    catch_up(bucket, store, Publisher(bucket))
    assumed = [replace(kernel, toolchain="gcc-12", evidence=Evidence.SERIES) for kernel in kernels.values()]
    assert {e: store.as_learned(kernel).toolchain for e, kernel in zip(kernels, assumed, strict=True)} == {
        Evidence.PACKAGE: "gcc-12",
        Evidence.CONFIG: "gcc-14",
        Evidence.SERIES: "gcc-12",
    }


def test_what_the_bucket_has_lost_is_not_taken_for_built(bucket: Bucket, store: Store) -> None:
    first, second = [publish(bucket, built(release)) for release in list(SERIES)[:2]]
    catch_up(bucket, store, Publisher(bucket))
    failed = replace(store.outcomes()[first.build_id], status=Status.FAILED, manifest="")
    bucket.delete([entry_of(second).manifest])
    store.put_outcome(failed)
    catch_up(bucket, store, Publisher(bucket))
    assert store.outcomes() == {first.build_id: failed}


def test_what_names_no_version_is_written_for_a_bucket_that_has_none(bucket: Bucket, store: Store) -> None:
    made = [publish(bucket, built(release)) for release in SERIES]
    bucket.delete([found.key for found in bucket.list(LATEST)])
    store.put_outcomes(outcomes_of(made[:2]).values())
    catch_up(bucket, store, Publisher(bucket))
    assert latest(bucket) == {each.release: "1.0+x" for each in made[:2]}, "what the store does not take for built"


def test_a_lost_database_and_a_kill_before_the_last_word(bucket: Bucket, store: Store) -> None:
    first = publish(bucket, built())
    key = entry_of(first).latest_key
    before = bucket.get(key) or b""
    for changes in ({"version": "2.0"}, {"version": "3.0"}):
        publish(
            bucket,
            replace(
                built(),
                module=replace(built().module, **changes),
                finished=built().finished + 1 + (changes["version"] == "3.0"),
                by_hand=changes["version"] == "3.0",
            ),
        )
    bucket.put(key, before)
    catch_up(bucket, store, Publisher(bucket))
    assert latest(bucket) == {first.release: "2.0"}
    [outcome] = store.outcomes().values()
    assert outcome.module_version == "2.0", "what was built by hand is not the build's status"


def latest(bucket: Bucket) -> dict[str, str]:
    entries = [read_latest(bucket, found.key) for found in bucket.list(LATEST)]
    return {entry.release: entry.version for entry in entries if entry}


def test_an_empty_bucket_and_an_empty_store(bucket: Bucket, store: Store) -> None:
    catch_up(bucket, store, Publisher(bucket))
    assert store.outcomes() == {}


def test_bundles_are_known_again_whatever_named_their_packages(bucket: Bucket, store: Store) -> None:
    made = [built(release) for release in list(SERIES)[:2]]
    unnamed = tuple(replace(package, sha256="") for package in made[1].kernel.headers)
    made[1] = replace(made[1], kernel=replace(made[1].kernel, headers=unnamed))
    # of what headers are made of, the same may be another kernel's
    parts = tuple(replace(package, kind=PackageKind.SOURCE) for package in made[0].kernel.headers)
    made.append(built("7.2.13+deb14-amd64"))
    made[2] = replace(made[2], kernel=replace(made[2].kernel, headers=parts), headers_sha256="5" * 64)
    for each in made:
        bucket.put(publish(bucket, each).headers, b"a bundle")
    catch_up(bucket, store, Publisher(bucket))
    assert [store.meta(bundle_note(each.kernel.headers_digest)) for each in made] == [m.headers_sha256 for m in made]
