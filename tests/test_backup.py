"""What a backup has comes back, and nothing else gets in."""

import io
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
import zstandard
from kmodci.backup import Backup
from kmodci.bucket import Bucket
from kmodci.errors import StoreError
from kmodci.loginfile import Role
from kmodci.schema import Database
from kmodci.settings import Settings
from kmodci.store import Store
from kmodci.users import Users
from support.postgres import Postgres
from support.s3 import bucket, s3

__all__ = ["bucket", "s3"]

Made = Callable[[str], Settings]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """A farm without anything, by a name of its own."""

    def settings(name: str) -> Settings:
        state = tmp_path / name
        (state / "master").mkdir(parents=True)
        database = None
        if request.param == "postgresql":
            server: Postgres = request.getfixturevalue("postgres")
            passfile = server.passfile(tmp_path / f"passfile-{name}")
            database = Database(url=server.url(server.database()), passfile=passfile)
        return Settings.model_construct(folder=tmp_path, state=state, database=database)

    return settings


def fill(settings: Settings) -> Store:
    store = Store(settings.database_url)
    store.create()
    store.put_meta("note", "of the farm")
    Users(settings.users_file).add("alice", Role.BUILD, "a good password")
    accepted = settings.state / "accepted"
    accepted.mkdir()
    (accepted / "0123abc.json").write_text("{}")
    return store


def written(settings: Settings, bucket: Bucket) -> bytes:
    file = io.BytesIO()
    Backup(settings).write(file, bucket)
    return file.getvalue()


def restored(settings: Settings, backup: bytes, *, replace: bool = False) -> None:
    Backup(settings).restore(io.BytesIO(backup), replace=replace)


def packed(**members: bytes) -> bytes:
    file = io.BytesIO()
    with (
        zstandard.ZstdCompressor().stream_writer(file, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|") as tar,
    ):
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def test_all_of_it_comes_back(made: Made, bucket: Bucket) -> None:
    old, new = made("old"), made("new")
    store = fill(old)
    backup = written(old, bucket)
    store.put_meta("note", "of later")
    restored(new, backup)
    assert Store(new.database_url).meta("note") == "of the farm"
    assert Users(new.users_file).login("alice", "a good password")
    assert stat.S_IMODE(new.users_file.stat().st_mode) == 0o600
    assert (new.state / "accepted" / "0123abc.json").read_text() == "{}"
    assert not list((new.state / "scratch").iterdir()), "nothing is left of how it was done"


def test_what_is_there_is_lost_only_if_that_is_said(made: Made, bucket: Bucket) -> None:
    old, new = made("old"), made("new")
    fill(old)
    backup = written(old, bucket)
    store = Store(new.database_url)
    store.create()
    store.put_meta("note", "of the new one")
    store.close()
    with pytest.raises(StoreError, match="something already: tables in its database"):
        restored(new, backup)
    Users(new.users_file).add("bob", Role.OPERATE, "another password")
    with pytest.raises(StoreError, match="something already: users"):
        restored(new, backup)
    assert Store(new.database_url).meta("note") == "of the new one"
    restored(new, backup, replace=True)
    assert Store(new.database_url).meta("note") == "of the farm"
    assert [user.name for user in Users(new.users_file).all()] == ["alice"]


def test_how_the_bucket_stood_is_noted(made: Made, bucket: Bucket) -> None:
    settings = made("old")
    fill(settings)
    bucket.put("index/x.json", b"12345")
    head = Backup(settings).write(io.BytesIO(), bucket)
    assert head.bucket is not None
    assert (head.bucket.objects, head.bucket.size) == (1, 5)


HEAD = b'{"format": 1, "made": 1.0, "database": "sqlite", "bucket": null}'


@pytest.mark.parametrize(
    ("backup", "why"),
    [
        (b"no backup", "no whole backup"),
        (b"", "no whole backup"),
        (packed(**{"other.json": b"{}"}), "does not begin with what it is of"),
        (packed(**{"backup.json": b"{}"}), "no whole backup"),
        (packed(**{"backup.json": HEAD.replace(b'"format": 1', b'"format": 2')}), "of format 2"),
        (packed(**{"backup.json": HEAD}), "no database in it"),
        (packed(**{"backup.json": HEAD, "../../evil": b"x"}), "it has '../../evil' in it"),
        (packed(**{"backup.json": HEAD, "accepted/../../evil": b"x"}), "evil' in it"),
        (packed(**{"backup.json": HEAD.replace(b"sqlite", b"postgresql")}), "with postgresql, and this one has sqlite"),
    ],
)
def test_what_is_no_backup_is_refused_and_changes_nothing(tmp_path: Path, backup: bytes, why: str) -> None:
    settings = Settings.model_construct(folder=tmp_path, state=tmp_path / "state", database=None)
    (settings.state / "master").mkdir(parents=True)
    with pytest.raises(StoreError, match=why):
        restored(settings, backup)
    assert sorted(path.name for path in settings.state.rglob("*")) == ["master", "scratch"]


def test_half_a_backup_is_refused(made: Made, bucket: Bucket) -> None:
    old, new = made("old"), made("new")
    fill(old)
    with pytest.raises(StoreError):
        restored(new, written(old, bucket)[:-200])
    assert not new.users_file.exists()
    if new.database is not None:
        assert not sa.inspect(sa.create_engine(new.database_url)).get_table_names()
