"""`kmodci gc`, on the embedded S3 server of a farm that is not running; its engine does not answer."""

import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kmodci.errors import StoreError
from kmodci.keys import LATEST, RETIRED, headers_key
from kmodci.manifest import entry_of
from kmodci.model import ModuleVersion
from kmodci.paths import Paths
from kmodci.products import Publisher
from kmodci.publishing import publish, put_latest, read_latest, version_index
from kmodci.recovery import outcomes_of
from kmodci.settings import Settings, load
from kmodci.store import Store
from kmodci.watch import bundle_note
from kmodci.where import open_bucket
from support.builds import built
from support.s3 import free_port

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]
DAY = 86_400
VERSIONS = ("1.0", "2.0", "3.0")
USED, UNUSED, OTHER = "3" * 64, "5" * 64, "7" * 64


def module(version: str) -> ModuleVersion:
    return replace(built().module, version=version)


def age(settings: Settings, days: float, keys: str = "**/*") -> None:
    """As if what the bucket has had been written so long ago: the embedded server tells the times of its files."""
    when = time.time() - days * DAY
    for path in (settings.state / "s3" / "kmodci").glob(keys):
        if path.is_file():
            os.utime(path, (when, when))


@pytest.fixture(autouse=True)
def settings(config: Path) -> Settings:
    """Of a farm that has published three versions of a module, a month and more ago, and is to keep one."""
    (config / "kmodci.yml").write_text(
        f"state: ../state\nweb: {{port: {free_port() - 1}}}\nretention: {{versions: 1, cache: 64MiB}}\n"
        f"engine: {{docker_host: 'unix://{config}/no.sock', workers: 1}}\n"
    )
    (config / "modules.yml").write_text("modules: {hello: {source: {path: ..}, version: '3.0'}}\n")
    settings = load(config)
    store = Store(settings.database_url)
    store.create()
    store.put_kernels("trixie main", [built().kernel])
    store.put_module_version(module("3.0"))
    digest = built().kernel.headers_digest
    notes = {digest: USED, f"{digest}/gcc-14-trixie": OTHER, "gone": UNUSED, "gone/gcc-14-trixie": UNUSED}
    store.put_metas({bundle_note(name): sha256 for name, sha256 in notes.items()})
    now = time.time()
    with open_bucket(settings) as bucket:
        publisher = Publisher(bucket)
        for number, version in enumerate(VERSIONS):
            publisher.publish(replace(built(), module=module(version), finished=now - (60 - 10 * number) * DAY))
        publisher.write_indices()
        # built once more, by hand: the store's last word of this build is the old version
        old = publish(bucket, replace(built("6.1.0-50-amd64"), module=module("1.0"), finished=now - 30 * DAY))
        for sha256 in (USED, UNUSED):
            bucket.put(headers_key(sha256), b"a bundle")
    store.put_outcomes(outcomes_of([old]).values())
    store.close()
    age(settings, 30)
    return settings


def listed(settings: Settings) -> set[str]:
    with open_bucket(settings) as bucket:
        return {found.key for found in bucket.list()}


def waste(run: Run, *arguments: str) -> list[dict[str, Any]]:
    status, out, _ = run("gc", "--json", *arguments)
    assert status == 0
    removals: list[dict[str, Any]] = json.loads(out)["removals"]
    return removals


def test_it_tells_and_touches_nothing(run: Run, settings: Settings) -> None:
    before = listed(settings)
    status, out, err = run("gc")
    assert status == 0
    assert [line.split("  ")[0] for line in out.splitlines()] == [
        "what",
        "index of hello 2.0",
        "index of hello 1.0",
        "header bundles",
        "all",
    ]
    assert "1 newer versions were built, one is kept; its modules go 7d later" in out
    assert "Docker engine" in err
    assert err.endswith("nothing was removed: `kmodci gc --remove` does it\n")
    assert listed(settings) == before


def test_versions_leave_the_index_and_later_the_bucket(run: Run, settings: Settings) -> None:
    before = listed(settings)
    first = waste(run, "--remove")
    assert [each["what"] for each in first] == ["index of hello 2.0", "index of hello 1.0", "header bundles"]
    assert before - listed(settings) == {found["key"] for each in first for found in each["objects"]}
    store = Store(settings.database_url)
    assert store.outcomes() == {}
    digest = built().kernel.headers_digest
    assert store.metas("bundle/") == {bundle_note(digest): USED, bundle_note(f"{digest}/gcc-14-trixie"): OTHER}
    assert waste(run, "--remove") == []
    with open_bucket(settings) as bucket:
        retired = json.loads(bucket.get(RETIRED) or b"")
        assert retired["versions"].keys() == {"hello/1.0", "hello/2.0"}
        bucket.put_json(RETIRED, {"versions": {name: at - 8 * DAY for name, at in retired["versions"].items()}})
    assert [each["what"] for each in waste(run, "--remove")] == ["modules of hello 2.0", "modules of hello 1.0"]
    left = listed(settings)
    assert {key.split("/")[2] for key in left if key.startswith("modules/")} == {"3.0"}
    assert headers_key(USED) in left
    assert waste(run, "--remove") == []
    with open_bucket(settings) as bucket:
        (entry,) = version_index(bucket, "hello", "3.0").kernels
        assert {entry.manifest, *(file.key for file in entry.files)} <= left


def test_what_is_of_a_kernel_that_is_gone_stays(run: Run, settings: Settings) -> None:
    """Its modules and index, and its header bundle, of which its modules of the next version are built."""
    store = Store(settings.database_url)
    before = waste(run)
    store.put_kernels("trixie main", [replace(built().kernel, gone=time.time() - 400 * DAY)])
    assert waste(run, "--remove") == before
    left = listed(settings)
    assert headers_key(USED) in left and headers_key(UNUSED) not in left
    with open_bucket(settings) as bucket:
        assert version_index(bucket, "hello", "3.0").kernels
    assert {key.split("/")[2] for key in left if key.startswith("modules/")} == {"1.0", "2.0", "3.0"}


def test_what_was_written_of_late_stays(run: Run, settings: Settings) -> None:
    age(settings, 6)
    assert waste(run, "--remove") == []


def test_the_log_goes_and_the_rest_of_a_build_stays(run: Run, settings: Settings) -> None:
    age(settings, 91, "modules/hello/3.0/**/*")
    found = waste(run, "--remove")
    assert [(each["what"], len(each["objects"])) for each in found if "logs" in each["what"]] == [
        ("build logs of hello 3.0", 1)
    ]
    assert waste(run) == []
    assert run("index", "rebuild")[0] == 0


def test_images_stay_while_the_engine_does_not_answer(run: Run, settings: Settings) -> None:
    key = "images/toolchain-gcc-12-0123456789abcdef.tar.zst"
    with open_bucket(settings) as bucket:
        bucket.put(key, b"an image")
    age(settings, 30)
    assert key not in {found["key"] for each in waste(run) for found in each["objects"]}


def test_caches_and_leftovers(run: Run, settings: Settings) -> None:
    paths = Paths(settings.state)
    for number in range(70):
        with (paths.cache("sources") / f"{number:02}.tar.zst").open("wb") as file:
            file.truncate(1 << 20)
        os.utime(file.name, (number, number))
    for name in ("headers-old", "headers-new"):
        (paths.scratch / name).mkdir()
        (paths.scratch / name / "0.deb").write_bytes(b"part of one")
    os.utime(paths.scratch / "headers-old", (1, 1))
    found = {each["what"]: [item["key"] for item in each["objects"]] for each in waste(run, "--remove")}
    assert found["cached sources"] == [f"cache/sources/{number:02}.tar.zst" for number in range(6)]
    assert found["leftovers in scratch"] == ["scratch/headers-old"]
    assert [path.name for path in paths.scratch.iterdir()] == ["headers-new"]
    assert len(list(paths.cache("sources").iterdir())) == 64


def test_what_is_published_meanwhile_stays(settings: Settings) -> None:
    with open_bucket(settings) as bucket:
        publisher = Publisher(bucket)
        publisher.begin_removal()
        keys = ["index/hello/1.0.json"]
        publisher.publish(replace(built(), module=module("1.0")))
        assert not publisher.withdraw(("hello", "1.0"), keys, {})
        assert not publisher.remove(("hello", "1.0"), keys)
        publisher.write_indices()
        assert len(version_index(bucket, "hello", "1.0").kernels) == 1
        publisher.begin_removal()
        assert publisher.withdraw(("hello", "1.0"), keys, {})
        assert version_index(bucket, "hello", "1.0").kernels == ()


def test_a_version_leaves_once_nothing_leads_to_it_any_more(run: Run, settings: Settings) -> None:
    """`latest/` says 1.0 of one kernel, as if the source had gone back; and of the other there is no build but that."""
    with open_bucket(settings) as bucket:
        [new, *_] = version_index(bucket, "hello", "1.0").kernels
        put_latest(bucket, new)
    [oldest] = (each for each in waste(run, "--remove") if each["what"] == "index of hello 1.0")
    assert oldest["objects"][0]["key"] == "latest/hello/debian/amd64/6.1.0-50-amd64.json"
    with open_bucket(settings) as bucket:
        [found] = bucket.list(LATEST)
        entry = read_latest(bucket, found.key)
        assert entry and (entry.release, entry.version) == ("6.12.117+deb13-amd64", "3.0")
    assert not [each for each in waste(run) if each["what"].startswith("index")]


def test_it_stays_while_who_publishes_has_not_led_away_from_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, keys = ("hello", "1.0"), ["index/hello/1.0.json"]
    with open_bucket(settings) as bucket:
        publisher = Publisher(bucket)
        put = bucket.put
        latest = entry_of(publish(bucket, replace(built(), module=module("1.0")))).latest_key

        def withdraw() -> tuple[bool, str]:
            done = publisher.withdraw(old, keys, {latest: None})
            entry = read_latest(bucket, latest)
            return done, entry.version if entry else ""

        def broken(key: str, data: bytes) -> None:
            if key == latest:
                publisher.begin_removal()
                found.append(withdraw())
                raise StoreError("the server went away")
            put(key, data)

        found: list[tuple[bool, str]] = []
        monkeypatch.setattr(bucket, "put", broken)
        with pytest.raises(StoreError):
            publisher.publish(replace(built(), module=module("3.0")))
        assert (found, withdraw()) == ([(False, "1.0")], (False, "1.0"))
        monkeypatch.setattr(bucket, "put", put)
        publisher.publish(replace(built(), module=module("3.0")))
        assert withdraw() == (True, "3.0")


def test_what_is_being_published_while_it_begins_stays(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_bucket(settings) as bucket:
        publisher = Publisher(bucket)
        put, removed = bucket.put, []

        def begin(key: str, data: bytes) -> None:
            publisher.begin_removal()
            removed.append(publisher.remove(("hello", "1.0"), [key]))
            put(key, data)

        monkeypatch.setattr(bucket, "put", begin)
        publisher.publish(replace(built(), module=module("1.0")))
        assert removed
        assert not any(removed)
        publisher.begin_removal()
        assert publisher.remove(("hello", "1.0"), ["modules/hello/1.0/nothing"])


def test_a_farm_that_runs_does_it_itself(run: Run, settings: Settings) -> None:
    with (Paths(settings.state).master / "lock").open("w") as lock:
        lock.write("77")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, _, err = run("gc", "--remove")
        assert (status, "process 77" in err, "force its builder `gc`" in err) == (1, True, True)
        assert waste(run)
