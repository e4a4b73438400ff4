"""What each check sees, in a folder, a database or a server of the test's own, and that it leaves all as it was."""

import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa
from kmodci.bucket import Bucket
from kmodci.checkup import machine, ports, sources, stores, wire
from kmodci.discovery import Repository
from kmodci.errors import FetchError, IndexDamaged, KmodciError, StoreError
from kmodci.findings import Finding, Level
from kmodci.repos.base import Fetches, Snapshot, Wanted
from kmodci.store import RepositoryState, Store
from support.authority import Authority
from support.certificates import certificate
from support.s3 import bucket, free_port, s3

__all__ = ["bucket", "s3"]


def told(findings: Iterator[Finding]) -> list[tuple[Level, str]]:
    return [(each.level, each.what) for each in findings]


def levels(findings: Iterator[Finding]) -> list[Level]:
    return [each.level for each in findings]


@contextmanager
def answering(
    pages: Mapping[str, tuple[int, bytes]], context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[str]]]:
    """A server on loopback: its port's address, and what it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, body = pages.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://localhost:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# databases


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/farm.sqlite"


def test_a_database_that_is_not_there_is_not_made(url: str, tmp_path: Path) -> None:
    assert levels(stores.of_database(url)) == levels(stores.of_buildbot(url)) == [Level.NOTE]
    assert list(tmp_path.iterdir()) == []


def test_a_database_is_written_to_and_stays_as_it_was(url: str) -> None:
    store = Store(url)
    store.create()
    store.put_meta("a", "b")
    assert levels(stores.of_database(url)) == [Level.GOOD]
    assert store.metas("") == {"a": "b"}


def test_a_database_of_an_earlier_version(url: str) -> None:
    Store(url).create()
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("DROP TABLE kmodci_holds"))
        connection.execute(sa.text("ALTER TABLE kmodci_kernels DROP COLUMN gone"))
    found = told(stores.of_database(url))
    assert [level for level, _ in found] == [Level.NOTE, Level.GOOD]
    assert "the next start adds kmodci_kernels.gone, kmodci_holds" in found[0][1] or (
        "kmodci_holds" in found[0][1] and "kmodci_kernels.gone" in found[0][1]
    )


def test_a_database_that_somebody_else_writes_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_BUSY", 0.1)
    Store(url).create()
    with sa.create_engine(url).connect() as connection:
        connection.execute(sa.text("BEGIN IMMEDIATE"))
        with pytest.raises(StoreError, match="database is locked"):
            list(stores.of_database(url))


def test_a_file_that_is_no_database(url: str, tmp_path: Path) -> None:
    (tmp_path / "farm.sqlite").write_bytes(b"nothing of the kind" * 100)
    for look in (stores.of_database, stores.of_buildbot):
        with pytest.raises(StoreError, match="not a database"):
            list(look(url))


def test_a_password_is_not_told() -> None:
    with pytest.raises(StoreError) as caught:
        list(stores.of_database("nosuch://me:hunter2@127.0.0.1/x"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("revision", "level", "words"),
    [("head", Level.GOOD, "this version"), ("059", Level.NOTE, "earlier"), ("999", Level.WRONG, "later Buildbot")],
)
def test_buildbots_tables(url: str, revision: str, level: Level, words: str) -> None:
    head, known = stores._revisions()
    assert head in known
    assert "059" in known
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        version = head if revision == "head" else revision
        connection.execute(sa.text("INSERT INTO alembic_version VALUES (:v)"), {"v": version})
    [(found, what)] = told(stores.of_buildbot(url))
    assert found is level
    assert words in what


@pytest.mark.filterwarnings("ignore:No path_separator:DeprecationWarning")
def test_the_revision_is_what_buildbot_itself_takes_for_the_newest() -> None:
    from buildbot.db.model import Model

    assert stores._revisions()[0] == Model(None).alembic_get_scripts().get_current_head()


# the bucket


@pytest.mark.slow
def test_a_bucket_that_is_well_has_nothing_of_it_afterwards(bucket: Bucket) -> None:
    bucket.put("images/x.tar.zst", b"x")
    before = [each.key for each in bucket.list()]
    assert levels(stores.of_bucket(bucket)) == [Level.GOOD]
    assert [each.key for each in bucket.list()] == before
    assert "images/x.tar.zst" in stores.of_images(bucket)


class _Odd(Bucket):
    """In memory, and wrong in one way."""

    def __init__(self, fault: str) -> None:
        self.endpoint, self.bucket, self._fault, self._had = "http://s3.test", "b", fault, dict[str, bytes]()

    def put(self, key: str, data: bytes) -> None:
        self._had[key] = data

    def get(self, key: str) -> bytes | None:
        if self._fault == "breaks":
            raise StoreError("it breaks")
        return b"?" if self._fault == "other" else self._had.get(key)

    def list(self, prefix: str = "") -> Iterator[object]:  # type: ignore[override] # keys alone
        yield from () if self._fault == "unlisted" else [type("O", (), {"key": key})() for key in self._had]

    def delete(self, keys: object) -> None:
        if self._fault != "undeleted":
            self._had.clear()

    def size(self, key: str) -> int | None:
        return len(self._had[key]) if key in self._had else None


@pytest.mark.parametrize(
    ("fault", "words"), [("other", "read as something else"), ("unlisted", "not listed"), ("undeleted", "deleted")]
)
def test_a_bucket_that_is_odd(fault: str, words: str) -> None:
    [(level, what)] = told(stores.of_bucket(_Odd(fault)))
    assert level is Level.WRONG
    assert words in what


def test_the_object_goes_also_when_it_breaks_midway() -> None:
    odd = _Odd("breaks")
    with pytest.raises(StoreError):
        list(stores.of_bucket(odd))
    assert odd._had == {}


# this machine


def test_a_state_that_is_not_there_stays_so(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    assert levels(machine.of_state(state)) == [Level.NOTE]
    assert levels(machine.of_disk_of(state)) != []
    assert levels(machine.of_caches(state, 100)) == [Level.GOOD]
    assert not (tmp_path / "deep").exists()


def test_a_state_that_others_may_write_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert (Level.WRONG, f"{tmp_path} can be written to by others") in told(machine.of_state(tmp_path))
    tmp_path.chmod(0o700)
    assert levels(machine.of_state(tmp_path)) == [Level.GOOD]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_state_of_another_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    [(level, what), _] = told(machine.of_state(tmp_path))
    assert level is Level.NOTE
    assert "belongs to user 12345, and this is user 0" in what


def test_a_file_with_several_names_counts_once(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "headers"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"x" * 100_000)
    once = machine._size(folder)
    (folder / "b").hardlink_to(folder / "a")
    assert machine._size(folder) == once >= 100_000
    assert levels(machine.of_caches(tmp_path, 200_000)) == [Level.GOOD]
    assert levels(machine.of_caches(tmp_path, 10_000)) == [Level.NOTE]


def test_secrets_that_others_may_read_are_told_and_not_what_is_in_them(tmp_path: Path) -> None:
    config, state, more = tmp_path / "config", tmp_path / "state", tmp_path / "elsewhere.json"
    config.mkdir()
    state.mkdir()
    (config / "kmodci.yml").touch(0o644)
    for path in (state / "users.json", state / "password", more):
        path.write_text("hunter2")
        path.chmod(0o600)
    assert told(machine.of_files(config, state, (more,))) == [
        (Level.GOOD, "3 files with secrets of the farm's own, for their owner only")
    ]
    more.chmod(0o644)
    (config / "kmodci.yml").chmod(0o666)
    found = list(machine.of_files(config, state, (more,)))
    assert [each.level for each in found] == [Level.WRONG, Level.WRONG, Level.GOOD]
    assert f"chmod 600 {more}" in found[1].advice
    assert "hunter2" not in str(found)


def test_programs_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert levels(machine.of_programs()) == [Level.GOOD, Level.WRONG, Level.WRONG, Level.WRONG, Level.NOTE]


def test_packages_are_those_of_the_requirements() -> None:
    requirements = Path(__file__).parents[2] / "master" / "requirements.txt"
    assert levels(machine.of_packages(requirements)) == [Level.GOOD]


# ports


def test_a_port_is_free_or_somebody_has_it(tmp_path: Path) -> None:
    port, pid_file = free_port(), tmp_path / "s3.pid"
    assert ports.of_port("127.0.0.1", port, what="web").level is Level.GOOD
    with socket.create_server(("127.0.0.1", port)):
        taken = ports.of_port("127.0.0.1", port, what="web", ours=pid_file)
        assert taken.level is Level.WRONG
        assert f"(process {os.getpid()})" in taken.what
        pid_file.write_text(f"{os.getpid()}\n")
        assert ports.of_port("127.0.0.1", port, what="web", ours=pid_file).level is Level.GOOD


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, json.dumps({"problems": []}).encode()), [(Level.GOOD, "says that it is well")]),
        (
            (503, json.dumps({"problems": ["engine: away", "disk: full"]}).encode()),
            [(Level.WRONG, "the farm says: engine: away"), (Level.WRONG, "the farm says: disk: full")],
        ),
        ((200, b"<html>"), [(Level.WRONG, "something that is no farm")]),
        ((500, b"[]"), [(Level.WRONG, "something that is no farm")]),
    ],
)
def test_a_farm_that_runs_is_asked_how_it_is(answer: tuple[int, bytes], expected: list[tuple[Level, str]]) -> None:
    with answering({"/healthz": answer}) as (address, _):
        found = told(ports.of_farm(f"{address}/", 123))
    assert [level for level, _ in found] == [level for level, _ in expected]
    assert all(words in what for (_, what), (_, words) in zip(found, expected, strict=True))


def test_a_farm_that_does_not_answer() -> None:
    [(level, what)] = told(ports.of_farm(f"http://127.0.0.1:{free_port()}/", 123))
    assert level is Level.WRONG
    assert "a farm runs (process 123), and does not answer" in what


# what servers tell


def test_a_servers_clock_and_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public, context = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(public))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(public))
    with answering({}, context) as (address, _):
        found = told(wire.of_server(address, "it"))
    # it has a day left
    assert found == [
        (Level.GOOD, "the clock of it is as this machine's"),
        (Level.WRONG, "the certificate of localhost is good for 23h more"),
    ]


def test_a_server_that_is_not_there_or_not_trusted(tmp_path: Path) -> None:
    _, context = certificate(tmp_path)
    with answering({}, context) as (address, _), pytest.raises(KmodciError, match="SSLError"):
        list(wire.of_server(address, "it"))
    with pytest.raises(KmodciError, match="ConnectionError"):
        list(wire.of_server(f"http://127.0.0.1:{free_port()}", "it"))


def test_certificates_in_files(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca", "test")
    assert wire.certificate_end(authority.ca) > datetime.now(UTC).timestamp()
    (tmp_path / "none.pem").write_text("nothing")
    for path in (tmp_path / "none.pem", tmp_path / "missing.pem"):
        with pytest.raises(KmodciError, match="no certificate can be read"):
            wire.certificate_end(path)


# mirrors


class _Index:
    """Reads a small file, and after that a large one if it has changed."""

    def look(self, fetcher: Fetches, mirror: str, wanted: Wanted, known_digest: str, now: datetime) -> Snapshot:
        small = fetcher.get(f"{mirror}/small", limit=1 << 20)
        if small == b"damaged":
            raise IndexDamaged("its signature is wrong")
        if small.decode() == known_digest:
            return Snapshot(digest=known_digest, dated=now, listed=None)
        with fetcher.stream(f"{mirror}/large", limit=1 << 30) as chunks:
            raise AssertionError(list(chunks))


def _repository(address: str) -> Repository:
    return Repository(
        name="r main",
        distro="debian",
        series="r",
        arches=("amd64",),
        index=_Index(),
        mirrors=("http://x.test", address),
    )


def test_a_mirror_is_asked_for_what_is_small() -> None:
    with answering({"/small": (200, b"1"), "/large": (200, b"x")}) as (address, asked):
        state = RepositoryState(name="r main")
        assert levels(sources.of_mirror(_repository(address), address, state, frozenset())) == [Level.GOOD]
        assert asked == ["/small"]


def test_a_mirror_that_is_damaged_or_away() -> None:
    state = RepositoryState(name="r main")
    with answering({"/small": (200, b"damaged")}) as (address, _), pytest.raises(IndexDamaged):
        list(sources.of_mirror(_repository(address), address, state, frozenset()))
    with answering({}) as (address, _), pytest.raises(FetchError):
        list(sources.of_mirror(_repository(address), address, state, frozenset()))


def test_of_what_is_large_from_the_first_byte_only_that_is_read() -> None:
    from kmodci.fetch import Fetcher

    with answering({"/large": (200, b"x" * 1000)}) as (address, asked):
        for begin in ("stream", "get", "get_unless"):
            peek = sources._Peek(Fetcher())
            with pytest.raises(sources._Enough):
                if begin == "stream":
                    with peek.stream(f"{address}/large", limit=1 << 30):
                        pass
                elif begin == "get":
                    peek.get(f"{address}/large", limit=1 << 30)
                else:
                    peek.get_unless(f"{address}/large", sha256="", limit=1 << 30)
    assert asked == ["/large"] * 3
