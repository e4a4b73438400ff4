"""`kmodci fetch` and `kmodci index`, on the embedded S3 server of a farm that is not running."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kmodci.matrix import keys, select
from kmodci.paths import Paths
from kmodci.publishing import publish
from kmodci.recovery import outcomes_of
from kmodci.settings import Settings, load
from kmodci.store import Store
from kmodci.where import open_bucket, recipes_of
from support.builds import built
from support.s3 import free_port

pytestmark = pytest.mark.slow

Run = Callable[..., tuple[int, str, str]]
BUILT = "hello/debian-trixie-amd64/6.12.117+deb13-amd64"
UNBUILT = "hello/debian-bookworm-amd64/6.1.0-50-amd64"
LATEST = "latest/hello/debian/amd64/6.12.117+deb13-amd64.json"
INDEX = "index/hello/1.0+x/debian/amd64/6.12.117+deb13-amd64.json"


def look_around(settings: Settings) -> Store:
    """A store with what a farm finds out from repositories and sources."""
    store = Store(settings.database_url)
    store.create()
    store.put_kernels("trixie main", [built().kernel, built("6.1.0-50-amd64").kernel])
    store.put_module_version(built().module)
    return store


@pytest.fixture(autouse=True)
def settings(config: Path) -> Settings:
    """Of a farm that has published one of its two builds."""
    (config / "kmodci.yml").write_text(f"state: ../state\nweb: {{port: {free_port() - 1}}}\n")
    (config / "modules.yml").write_text("modules: {hello: {source: {path: ..}, version: 1.0+x}}\n")
    settings = load(config)
    store = look_around(settings)
    recipes, today = recipes_of(settings), datetime.now(UTC).date()
    entries = select(store.kernels().values(), settings.modules, settings.find_scope(), toolchains=recipes, today=today)
    key = keys(entries, store.module_versions(), recipes, settings.modules)[BUILT]
    with open_bucket(settings) as bucket:
        made = publish(bucket, replace(built(), inputs=key))
        bucket.put(made.headers, b"a bundle")
    store.put_outcomes(outcomes_of([made]).values())
    store.close()
    return settings


def test_fetch(run: Run, tmp_path: Path) -> None:
    status, out, err = run("fetch", BUILT, "--to", str(tmp_path / "here"))
    names = ("greet.ko.xz", "hello-world.ko.xz")
    assert (status, err) == (0, "")
    assert out.splitlines() == [str(tmp_path / "here" / name) for name in names]
    again = json.loads(run("fetch", BUILT, "--to", str(tmp_path / "here"), "--json")[1])
    sums = [hashlib.sha256((tmp_path / "here" / name).read_bytes()).hexdigest() for name in names]
    assert [file["sha256"] for file in again["files"]] == sums


def test_an_address_instead(run: Run) -> None:
    status, out, err = run("fetch", BUILT, "--url")
    assert (status, len(out.splitlines())) == (0, 2)
    assert "hello-world.ko.xz?" in out
    assert "X-Amz-Expires=3600" in out
    assert "while the farm runs" in err


def test_what_is_damaged_is_not_written(run: Run, settings: Settings, tmp_path: Path) -> None:
    with open_bucket(settings) as bucket:
        bucket.put("modules/hello/1.0+x/debian/trixie/amd64/6.12.117+deb13-amd64/greet.ko.xz", b"something else")
    status, out, err = run("fetch", BUILT, "--to", str(tmp_path / "here"))
    assert (status, out) == (1, "")
    assert "greet.ko.xz is damaged" in err
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(("key", "more"), [(INDEX, ("--version", "1.0+x")), (LATEST, ())])
def test_an_index_cannot_name_another_place_to_write_to(
    run: Run, settings: Settings, tmp_path: Path, key: str, more: tuple[str, ...]
) -> None:
    with open_bucket(settings) as bucket:
        text = (bucket.get(key) or b"").decode()
        bucket.put(key, text.replace('"name": "greet.ko.xz"', '"name": "../greet.ko.xz"').encode())
    status, _, err = run("fetch", BUILT, "--to", str(tmp_path / "here"), *more)
    assert status == 1
    assert "not what kmodci wrote" in err


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ((UNBUILT,), 1, f"`kmodci build {UNBUILT}` builds it"),
        ((BUILT, "--version", "0.9"), 2, "the bucket has it in version 1.0+x: say --version"),
        ((BUILT.replace("117", "118"),), 2, "the nearest are: debian-trixie-amd64/6.12.117+deb13-amd64"),
        ((BUILT.replace("hello", "hallo"),), 2, "did you mean 'hello'?"),
        (("hello/..",), 2, "not a build id"),
    ],
)
def test_what_is_not_there(run: Run, arguments: tuple[str, ...], status: int, told: str) -> None:
    found, out, err = run("fetch", *arguments)
    assert (found, out) == (status, "")
    assert told in err


def due(run: Run) -> list[str]:
    return [build["build_id"] for build in json.loads(run("plan", "--json")[1])["builds"]]


def test_without_the_database_nothing_is_built_again(run: Run, settings: Settings) -> None:
    assert due(run) == [UNBUILT]
    for file in settings.state.glob("kmodci.sqlite*"):
        file.unlink()
    look_around(settings).close()
    assert due(run) == [BUILT, UNBUILT]
    with open_bucket(settings) as bucket:
        bucket.delete([INDEX])
    status, out, _ = run("index", "rebuild")
    assert status == 0
    assert out.splitlines() == [
        "builds in the bucket, and in its index: 1",
        "builds that the store knows again: 1",
        "header bundles that the store knows again: 1",
    ]
    assert due(run) == [UNBUILT]
    assert run("fetch", BUILT, "--url")[0] == 0
    assert json.loads(run("explain", BUILT, "--json")[1])["bundle"] == f"headers/{'3' * 64}.tar.zst"


def test_what_the_bucket_lost_is_built_again(run: Run, settings: Settings) -> None:
    with open_bucket(settings) as bucket:
        bucket.delete([found.key for found in bucket.list("modules/")])
    done = json.loads(run("index", "rebuild", "--json")[1])
    assert (done["published"], done["forgotten"]) == (0, [BUILT])
    assert done["index_removed"] == [LATEST, INDEX]
    assert due(run) == [BUILT, UNBUILT]


def test_an_outcome_that_the_store_knows_stays(run: Run, settings: Settings) -> None:
    other = replace(built(), module=replace(built().module, version="0.9"), finished=1_900_000_000.0)
    with open_bucket(settings) as bucket:
        publish(bucket, other)
    assert json.loads(run("index", "rebuild", "--json")[1])["learned"] == []
    assert due(run) == [UNBUILT]


def test_not_while_a_farm_runs(run: Run, settings: Settings) -> None:
    with (Paths(settings.state).master / "lock").open("w") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, out, err = run("index", "rebuild")
    assert (status, out) == (1, "")
    assert "a farm is running" in err
