import hashlib
import json
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
import zstandard
from kmodci.bucket import Bucket
from kmodci.errors import StoreError, VerifyError
from kmodci.keys import LATEST, kernel_list_key
from kmodci.manifest import Built, entry_of
from kmodci.model import BuildId
from kmodci.objects import Object
from kmodci.publishing import (
    index_entry,
    latest_entry,
    manifests,
    publish,
    put_version_index,
    read_manifest,
    rebuild_index,
    version_index,
)
from support.builds import DATA, SERIES, built
from support.s3 import bucket, s3

pytestmark = pytest.mark.slow

__all__ = ["bucket", "s3"]

PLACE = "debian/amd64"


class Recording:
    """A bucket that tells the order of writes, and may break at one of them."""

    def __init__(self, bucket: Bucket, *, breaks_at: int = 0) -> None:
        self._bucket, self._breaks_at = bucket, breaks_at
        self.written: list[str] = []

    def put(self, key: str, data: bytes) -> None:
        self.written.append(key)
        if len(self.written) == self._breaks_at:
            raise StoreError("the server went away")
        self._bucket.put(key, data)

    def get(self, key: str) -> bytes | None:
        return self._bucket.get(key)

    def list(self, prefix: str = "") -> Iterator[Object]:
        return self._bucket.list(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        self._bucket.delete(keys)


def content(bucket: Bucket) -> dict[str, bytes | None]:
    return {item.key: bucket.get(item.key) for item in bucket.list()}


def test_what_is_written_and_in_which_order(bucket: Bucket) -> None:
    recording = Recording(bucket)
    publish(recording, built())
    prefix = "modules/hello/1.0+x/debian/trixie/amd64/6.12.117+deb13-amd64"
    assert recording.written == [
        f"{prefix}/greet.ko.xz",
        f"{prefix}/hello-world.ko.xz",
        f"{prefix}/build.log.zst",
        f"{prefix}/manifest.json",
        "index/hello/1.0+x/debian/amd64/6.12.117+deb13-amd64.json",
        "latest/hello/debian/amd64/6.12.117+deb13-amd64.json",
    ]


def test_a_node_finds_its_module(bucket: Bucket) -> None:
    publish(bucket, built())
    entry = json.loads(bucket.get("index/hello/1.0+x/debian/amd64/6.12.117+deb13-amd64.json") or b"")
    hello = next(file for file in entry["files"] if file["module"] == "hello_world")
    stored = bucket.get(hello["key"]) or b""
    assert (hashlib.sha256(stored).hexdigest(), len(stored)) == (hello["sha256"], hello["size"])
    assert lzma.decompress(stored) == (DATA / "6.12.117+deb13-amd64" / "hello-world.ko").read_bytes()
    assert hello["depends"] == ["greet"]
    assert hello["name"] == "hello-world.ko.xz"


def test_the_manifest_tells_all(bucket: Bucket) -> None:
    made = publish(bucket, built())
    manifest = json.loads(bucket.get(entry_of(made).manifest) or b"")
    assert manifest["build_id"] == "hello/debian-trixie-amd64/6.12.117+deb13-amd64"
    assert manifest["packages"] == [
        {
            "name": "linux-headers-6.12.117+deb13-amd64",
            "version": "1",
            "arch": "amd64",
            "sha256": "1" * 64,
            "url": "http://x",
            "kind": "package",
        }
    ]
    assert manifest["symbols_checked"] is True
    assert manifest["headers"] == f"headers/{'3' * 64}.tar.zst"
    assert manifest["files"][0]["vermagic"].startswith("6.12.117+deb13-amd64 ")
    assert (manifest["toolchain"], manifest["image"]) == ("gcc-14", "841663418aaaa680")
    assert (manifest["started"], manifest["finished"]) == (1_700_000_000.25, 1_700_000_003.5)
    assert zstandard.decompress(bucket.get(manifest["log"]) or b"") == b"make: done\n" * 100
    assert read_manifest(bucket, entry_of(made).manifest) == made


def test_uncompressed_where_the_distribution_does_so(bucket: Bucket) -> None:
    assert [file.name for file in publish(bucket, built("6.1.0-50-amd64")).files] == ["greet.ko", "hello-world.ko"]


def test_twice_is_as_once(bucket: Bucket) -> None:
    publish(bucket, built())
    once = content(bucket)
    publish(bucket, built())
    assert content(bucket) == once


@pytest.mark.parametrize("at", range(1, 6))
def test_broken_off_anywhere_the_index_names_nothing_missing(bucket: Bucket, at: int) -> None:
    with pytest.raises(StoreError):
        publish(Recording(bucket, breaks_at=at), built())
    assert list(bucket.list("index/")) == []
    assert list(bucket.list(LATEST)) == []
    publish(bucket, built())
    assert len(list(bucket.list("index/"))) == 1


def version(text: str, **changes: float | bool) -> Built:
    """The same build of another version of the module."""
    made = replace(built(), module=replace(built().module, version=text))
    return replace(made, **changes)


def latest(bucket: Bucket) -> str:
    """The version that a node gets which asks for none; empty for nothing."""
    build = BuildId.parse("hello/debian-trixie-amd64/6.12.117+deb13-amd64")
    entry = latest_entry(bucket, build)
    assert entry is None or entry == index_entry(bucket, build, entry.version)
    return entry.version if entry else ""


def test_who_asks_for_no_version_gets_the_last_that_was_built(bucket: Bucket) -> None:
    assert latest(bucket) == ""
    for made in (version("2.0"), version("1.0"), version("3.0", by_hand=True)):
        publish(bucket, made)
    assert latest(bucket) == "1.0", "the source went back, and somebody tried something else by hand"


def test_killed_before_the_last_word_it_is_said_the_next_time(bucket: Bucket) -> None:
    publish(bucket, version("1.0"))
    with pytest.raises(StoreError):
        publish(Recording(bucket, breaks_at=6), version("2.0"))
    assert latest(bucket) == "1.0"
    publish(bucket, version("2.0"))
    assert latest(bucket) == "2.0"


def test_what_names_no_version_is_made_again_too(bucket: Bucket) -> None:
    for number, text in enumerate(("2.0", "1.0")):
        publish(bucket, version(text, finished=1_800_000_000.0 + number))
    publish(bucket, version("3.0", finished=1_900_000_000.0, by_hand=True))
    whole = {key: data for key, data in content(bucket).items() if key.startswith(LATEST)}
    bucket.delete(whole)
    bucket.put("latest/hello/debian/amd64/5.10.0-1-amd64.json", b"{}")
    done = rebuild_index(bucket)
    assert {key: data for key, data in content(bucket).items() if key.startswith(LATEST)} == whole
    assert done.removed == ("latest/hello/debian/amd64/5.10.0-1-amd64.json",)


def test_a_manifest_from_before_was_not_by_hand(bucket: Bucket) -> None:
    key = entry_of(publish(bucket, built())).manifest
    old = json.loads(bucket.get(key) or b"")
    del old["by_hand"]
    bucket.put(key, json.dumps(old).encode())
    assert [manifest.by_hand for manifest in manifests(bucket)] == [False]


def test_nothing_is_published_of_nothing(bucket: Bucket) -> None:
    with pytest.raises(VerifyError):
        publish(bucket, replace(built(), artifacts=()))
    odd = replace(built().artifacts[0], name="../x.ko")
    with pytest.raises(VerifyError, match="not a module's file name"):
        publish(bucket, replace(built(), artifacts=(odd,)))
    assert list(bucket.list()) == []


def test_the_index_of_a_version(bucket: Bucket) -> None:
    assert version_index(bucket, "hello", "1.0+x").kernels == ()
    entries = [entry_of(publish(bucket, built(release))) for release in SERIES]
    put_version_index(bucket, "hello", "1.0+x", entries)
    first = bucket.get("index/hello/1.0+x.json")
    put_version_index(bucket, "hello", "1.0+x", reversed(entries))
    assert bucket.get("index/hello/1.0+x.json") == first
    assert version_index(bucket, "hello", "1.0+x").kernels == tuple(entries)


def test_the_index_is_rebuilt_from_manifests(bucket: Bucket) -> None:
    entries = [entry_of(publish(bucket, built(release))) for release in SERIES]
    put_version_index(bucket, "hello", "1.0+x", entries)
    whole = content(bucket)
    bucket.delete([item.key for prefix in ("index/", LATEST) for item in bucket.list(prefix)])
    bucket.put("index/hello/0.9.json", b"{}")
    bucket.put(f"index/hello/1.0+x/{PLACE}/6.1.0-49-amd64.json", b"{}")
    done = rebuild_index(bucket)
    assert content(bucket) == whole
    assert (len(done.manifests), len(done.removed)) == (3, 2)
    assert rebuild_index(bucket).removed == ()


def test_lists_of_kernels_are_none_of_a_modules_index(bucket: Bucket) -> None:
    bucket.put(kernel_list_key("amd64"), b"{}")
    bucket.put("index/hello/0.9.json", b"{}")
    assert rebuild_index(bucket).removed == ("index/hello/0.9.json",)
    assert bucket.get("index/kernel-crawler/x86_64/list.json") == b"{}"


def test_a_build_without_its_files_is_not_indexed(bucket: Bucket) -> None:
    publish(bucket, built())
    whole = publish(bucket, built("7.2.13+deb14-amd64"))
    damaged = publish(bucket, built("6.1.0-50-amd64"))
    bucket.put(damaged.files[0].key, b"half")
    bucket.delete([file.key for file in whole.files])
    assert [manifest.release for manifest in manifests(bucket)] == ["6.12.117+deb13-amd64"]
    assert len(rebuild_index(bucket).removed) == 4, "two index objects, and two that name no version"


def test_of_two_series_with_one_release_the_newer_build_counts(bucket: Bucket) -> None:
    publish(bucket, built(series="forky"))
    publish(bucket, replace(built(series="sid"), finished=1_800_000_000.0))
    rebuild_index(bucket)
    assert [entry.series for entry in version_index(bucket, "hello", "1.0+x").kernels] == ["forky", "sid"]
    entry = json.loads(bucket.get(f"index/hello/1.0+x/{PLACE}/6.12.117+deb13-amd64.json") or b"")
    assert entry["series"] == "sid"


def test_what_others_wrote_is_told(bucket: Bucket) -> None:
    bucket.put("index/hello/1.0.json", b'{"module": 1}')
    with pytest.raises(StoreError, match=r"index/hello/1\.0\.json: not what kmodci wrote"):
        version_index(bucket, "hello", "1.0")
    with pytest.raises(StoreError, match="is not in the bucket"):
        read_manifest(bucket, "modules/x/manifest.json")


def test_a_newer_kmodci_may_add_to_a_manifest(bucket: Bucket) -> None:
    made = publish(bucket, built())
    key = entry_of(made).manifest
    bucket.put(key, json.dumps(json.loads(bucket.get(key) or b"") | {"signature": "x"}).encode())
    assert list(manifests(bucket)) == [made]


def test_a_build_with_other_bytes_leaves_those_that_the_index_names(bucket: Bucket) -> None:
    first = publish(bucket, built())
    changed = replace(
        built(),
        artifacts=tuple(
            replace(a, content=a.content + b"x", sha256=hashlib.sha256(a.content + b"x").hexdigest())
            for a in built().artifacts
        ),
    )
    recording = Recording(bucket, breaks_at=4)
    with pytest.raises(StoreError):
        publish(recording, changed)
    assert not {file.key for file in first.files} & set(recording.written)
    second = publish(bucket, changed)
    for manifest in (first, second):
        for file in manifest.files:
            assert hashlib.sha256(bucket.get(file.key) or b"").hexdigest() == file.sha256
    assert {file.name for file in second.files} == {file.name for file in first.files}


def test_the_same_bytes_are_not_written_again(bucket: Bucket) -> None:
    publish(bucket, built())
    recording = Recording(bucket)
    publish(recording, built())
    assert not [key for key in recording.written if ".ko" in key]
