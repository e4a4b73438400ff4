from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from kmodci.doubt import Doubt
from kmodci.errors import StoreError
from kmodci.model import BuildId, Evidence, ModuleVersion, Outcome, PackageKind, Status
from kmodci.store import RepositoryState, Store
from kmodci.tables import KERNELS
from support.kernels import by_repository, headers

BUILD = BuildId.parse("scap/debian-trixie-amd64/6.12.117+deb13-amd64")
OUTCOME = Outcome(
    build_id=BUILD,
    key="k1",
    status=Status.FAILED,
    cause="error: no such field",
    module_version="1.0",
    kernel_version="6.12.117-1",
    finished=5.0,
    seconds=12.5,
    make_seconds=8.25,
    build_url="http://127.0.0.1:8010/#/builders/1/builds/2",
)


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    store.create()
    yield store
    store.close()


def test_kernels_come_back_as_they_were(store: Store, url: str) -> None:
    listed = by_repository()
    for repository, kernels in listed.items():
        store.put_kernels(repository, kernels)
    again = Store(url)
    again.create()
    assert {name: set(kernels) for name, kernels in again.listed().items()} == {
        name: set(kernels) for name, kernels in listed.items()
    }
    found = again.kernels()
    assert len(found) == 249
    assert all(str(kernel) == name for name, kernel in found.items())
    again.close()


def test_a_compiler_is_learned_from_the_headers_of_a_kernel_that_does_not_name_it(store: Store) -> None:
    named, *others = by_repository()["trixie main"]
    assumed = [replace(kernel, toolchain="gcc-13", evidence=Evidence.SERIES) for kernel in others]
    store.put_kernels("trixie main", [named, *assumed])
    for kernel in (named, *assumed[:2]):
        store.note_compiler(kernel, "gcc-12")
    store.note_compiler(assumed[2], "")
    learned = [replace(k, toolchain="gcc-12", evidence=Evidence.CONFIG, assumed="gcc-13") for k in assumed[:2]]
    assert list(store.kernels().values()) == [named, *learned, *assumed[2:]]
    assert [store.as_learned(kernel) for kernel in (named, *assumed)] == [named, *learned, *assumed[2:]]
    assert store.as_learned(learned[0]) == learned[0]


def test_a_kernel_is_there_while_any_repository_lists_it(store: Store) -> None:
    listed = by_repository()
    both = {str(k) for k in listed["trixie main"]} & {str(k) for k in listed["trixie-security main"]}
    for repository in ("trixie main", "trixie-security main"):
        store.put_kernels(repository, listed[repository])
    before = set(store.kernels())
    go(store, "trixie-security main", both, 50.0)
    assert set(store.kernels()) == before
    assert {store.kernels()[name].repository for name in both} == {"trixie main"}
    assert not any(kernel.gone for kernel in store.kernels().values())
    go(store, "trixie main", both, 90.0)
    assert set(store.kernels()) == before
    assert {str(kernel) for kernel in store.kernels().values() if kernel.gone == 90.0} == both
    listed = len(by_repository()["trixie main"])
    assert store.counts()["trixie main"] == (listed - len(both), len(both))


def go(store: Store, repository: str, names: set[str], when: float) -> None:
    found = [kernel for kernel in store.listed()[repository] if str(kernel) in names]
    store.put_kernels(repository, [replace(kernel, gone=when) for kernel in found])


def test_the_newest_package_version_of_a_kernel_wins(store: Store) -> None:
    old = by_repository()["trixie main"][0]
    new = replace(old, version="6.12.200-1", repository="trixie-security main", headers=(headers(old.release, "2"),))
    store.put_kernels("trixie main", [old])
    store.put_kernels("trixie-security main", [new])
    assert store.kernels() == {str(old): new}
    store.put_kernels("trixie main", [replace(new, version="6.12.1000-1", repository="trixie main")])
    assert store.kernels()[str(old)].version == "6.12.1000-1"


def test_new_and_gone_kernels_are_written_together_or_not_at_all(store: Store) -> None:
    kernels = by_repository()["sid main"]
    store.put_kernels("sid main", kernels)
    broken = replace(kernels[0], release="7.9-amd64", toolchain=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="cannot write kernels"):
        store.put_kernels("sid main", [*(replace(kernel, gone=50.0) for kernel in kernels), broken])
    assert set(store.kernels().values()) == set(kernels)


def test_outcomes(store: Store) -> None:
    assert store.outcomes() == {} and store.outcome(BUILD) is None
    store.put_outcome(OUTCOME)
    built = replace(OUTCOME, key="k2", status=Status.BUILT, cause="", manifest="modules/scap/manifest.json")
    assert store.outcome(BUILD) == OUTCOME
    store.put_outcome(built)
    assert store.outcomes() == {str(BUILD): built}
    store.forget_outcomes([BUILD])
    assert store.outcomes() == {}


def test_repositories(store: Store) -> None:
    assert store.repository_state("sid main") == RepositoryState(name="sid main")
    state = RepositoryState(
        name="sid main",
        digest="d",
        dated=1.5,
        last_ok=2.5,
        last_try=3.5,
        error="it's gone",
        hint="look there",
        problems=("a", "b"),
        doubt=Doubt(digest="e", what="it lists no kernel", since=0.1 + 0.2, looks=1, last=3.5),
        mirror_faults=("c",),
    )
    store.put_repository(replace(state, digest="old"))
    store.put_repository(state)
    assert store.repository_states() == {"sid main": state}


def test_module_versions_and_notes(store: Store) -> None:
    version = ModuleVersion(module="scap", version="1", origin="git", fetch={"url": "u", "commit": "c"}, digest="c")
    assert store.module_version("scap") is None
    store.put_module_version(replace(version, version="0"))
    store.put_module_version(version)
    assert store.module_versions() == {"scap": version}
    assert store.meta("last run") == ""
    store.put_meta("last run", "one")
    store.put_meta("last run", "two")
    assert store.meta("last run") == "two"


def test_many_threads_write_at_once(store: Store) -> None:
    """As builds end in the master's threads; an SQLite file takes one writer at a time."""
    builds = [replace(BUILD, release=f"6.12.{number}-amd64") for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda build: store.put_outcome(replace(OUTCOME, build_id=build)), builds))
    assert len(store.outcomes()) == 200


def test_another_process_may_read_while_one_writes(store: Store, url: str) -> None:
    store.put_meta("a", "1")
    reader = Store(url)
    with store.transaction("write") as connection:
        connection.exec_driver_sql("UPDATE kmodci_meta SET value = '2'")
        assert reader.meta("a") == "1"
    assert reader.meta("a") == "2"
    reader.close()


def test_what_is_said_when_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"(?s)no such table.*start it once"):
        Store(f"sqlite:///{tmp_path / 'empty.sqlite'}").kernels()
    with pytest.raises(StoreError, match=r"(?s)unable to open database file.*does its folder exist"):
        Store(f"sqlite:///{tmp_path / 'no' / 'folder.sqlite'}").create()
    old = Store(f"sqlite:///{tmp_path / 'old.sqlite'}")
    old.create()
    with old.transaction("go back a version") as connection:
        connection.exec_driver_sql("ALTER TABLE kmodci_outcomes DROP COLUMN image")
        for name in ("hint", "doubt"):
            connection.exec_driver_sql(f"ALTER TABLE kmodci_repositories DROP COLUMN {name}")
        for name in ("gone", "native"):
            connection.exec_driver_sql(f"ALTER TABLE kmodci_kernels DROP COLUMN {name}")
        connection.exec_driver_sql(
            "INSERT INTO kmodci_repositories (name, digest, dated, last_ok, last_try, error, problems)"
            " VALUES ('sid main', 'd', 1, 2, 3, 'e', '[]')"
        )
        connection.exec_driver_sql(
            "INSERT INTO kmodci_kernels (repository, target, release, version, flavour, toolchain, headers)"
            " VALUES ('sid main', 'debian-sid-amd64', '7.3-amd64', '7.3-1', 'amd64', 'gcc-16', '[]')"
        )
    with pytest.raises(StoreError, match=r"(?s)no such column.*an earlier version.*start it once"):
        old.outcomes()
    old.create()
    assert old.outcomes() == {}
    known = old.repository_state("sid main")
    assert (known.digest, known.error, known.hint, known.doubt) == ("d", "e", "", None)
    assert [(kernel.gone, kernel.native) for kernel in old.kernels().values()] == [(0.0, ())]
    (tmp_path / "text.sqlite").write_text("this is not a database" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        Store(f"sqlite:///{tmp_path / 'text.sqlite'}").create()


def test_a_password_is_never_in_a_message() -> None:
    for url in ("postgresql://farm:secret@127.0.0.1:1/farm", "oracel://farm:secret@db/farm"):
        with pytest.raises(StoreError) as caught:
            Store(url).kernels()
        assert "secret" not in str(caught.value)


def test_contents_are_kept_as_long_as_a_kernel_has_them(store: Store) -> None:
    [kernel, *_] = by_repository()["sid main"]
    config = replace(kernel.headers[0], sha256="c" * 64, kind=PackageKind.CONFIG)
    kernel = replace(kernel, headers=(replace(kernel.headers[0], kind=PackageKind.SOURCE), config))
    store.put_contents({"c" * 64: b"CONFIG_X=y\n" * 1000, "d" * 64: b""})
    store.put_kernels("sid main", [kernel])
    assert (store.content("c" * 64), store.content("d" * 64), store.content("e" * 64)) == (
        b"CONFIG_X=y\n" * 1000,
        b"",
        None,
    )
    store.forget_contents()
    assert (store.content("c" * 64), store.content("d" * 64)) == (b"CONFIG_X=y\n" * 1000, None)
    [again] = store.listed()["sid main"]
    assert store.contents(again) == {"c" * 64: b"CONFIG_X=y\n" * 1000}
    assert again == kernel
    store.put_kernels("sid main", [replace(kernel, gone=1.0)])
    store.forget_contents()
    assert store.content("c" * 64) is not None, "a kernel that is gone may still be built"
    store.put_kernels("sid main", [replace(kernel, headers=kernel.headers[:1])])
    store.forget_contents()
    assert store.content("c" * 64) is None


def test_packages_of_an_earlier_version_are_packages(store: Store) -> None:
    store.put_kernels("sid main", by_repository()["sid main"])
    with store.transaction("write") as connection:
        for row in connection.execute(sa.select(KERNELS)).mappings().all():
            packages = [{key: value for key, value in each.items() if key != "kind"} for each in row["headers"]]
            this = sa.and_(*(column == row[column.name] for column in KERNELS.primary_key))
            connection.execute(KERNELS.update().where(this).values(headers=packages))
        told = connection.execute(sa.select(sa.cast(KERNELS.c.headers, sa.Text))).scalars().all()
    assert [text for text in told if "kind" in text] == []
    assert set(store.listed()["sid main"]) == set(by_repository()["sid main"])


def test_what_is_learned_of_a_native_build_is_known_of_the_kernel(store: Store) -> None:
    [kernel, *_] = by_repository()["sid main"]
    instead = replace(kernel.headers[-1], arch="arm64", sha256="f" * 64)
    target = replace(kernel.target, arch="arm64")
    kernel = replace(kernel, target=target, evidence=Evidence.SERIES, toolchain="gcc-9", native=(instead,))
    store.put_kernels("sid main", [kernel])
    assert store.kernels()[str(kernel)] == kernel
    store.note_compiler(kernel.on("arm64"), "gcc-15")
    assert store.as_learned(kernel).toolchain == "gcc-15"
    assert store.kernels()[str(kernel)].toolchain == "gcc-15"
