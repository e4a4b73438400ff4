"""What a farm has that is nobody else's, in one file: its databases, its users and tokens, what people have accepted.

A backup is a `.tar.zst` whose first member, `backup.json`, says what it is of. What can be had again (caches, what the
bucket holds, images) is not in it; of the bucket it notes how that stood. It holds hashes of passwords, and a first one
as long as that is in its file: it is to be kept as they are.
"""

import io
import json
import os
import re
import sqlite3
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Literal

import sqlalchemy as sa
import zstandard
from pydantic import BaseModel, ConfigDict, ValidationError

from .bucket import Bucket
from .errors import StoreError
from .paths import Paths
from .privatefile import write_private
from .settings import Settings
from .where import buildbot_database

_FORMAT = 1
_HEAD = "backup.json"
_HEAD_LIMIT = 64 << 10
_FILE_LIMIT = 16 << 20
_DUMP = "database.dump"
_ACCEPTED = re.compile(r"accepted/[A-Za-z0-9._-]{1,100}")
_CUSTOM = ("--format=custom", "--no-owner", "--no-privileges")


class BucketStood(BaseModel):
    """How the bucket stood when the backup was made."""

    model_config = ConfigDict(frozen=True)

    endpoint: str
    bucket: str
    objects: int
    size: int
    """bytes"""
    newest: float
    """when the last object was written, by the server's clock; seconds since the epoch"""


class Head(BaseModel):
    """What a backup is of."""

    model_config = ConfigDict(frozen=True)

    format: int
    made: float
    """seconds since the epoch"""
    database: Literal["postgresql", "sqlite"]
    bucket: BucketStood | None
    """None if it did not answer"""


@dataclass(frozen=True, slots=True)
class Backup:
    """Of one farm. Raises StoreError."""

    settings: Settings

    @property
    def _paths(self) -> Paths:
        return Paths(self.settings.state)

    @property
    def _kind(self) -> Literal["postgresql", "sqlite"]:
        at = self.settings.database
        return "postgresql" if at is not None and at.is_server else "sqlite"

    def write(self, file: IO[bytes], bucket: Bucket) -> Head:
        """All of it; a farm may run meanwhile. What each database holds is of one moment."""
        head = Head(format=_FORMAT, made=time.time(), database=self._kind, bucket=_stood(bucket))
        with (
            TemporaryDirectory(prefix="backup-", dir=self._paths.scratch) as folder,
            zstandard.ZstdCompressor().stream_writer(file, closefd=False) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            _add(tar, _HEAD, head.model_dump_json(indent=1).encode())
            for name, path in self._dumped(Path(folder)):
                tar.add(path, arcname=name, filter=_plain)
                path.unlink()
            for name, path in self._files():
                _add(tar, name, path.read_bytes())
        return head

    def restore(self, file: IO[bytes], *, replace: bool = False) -> Head:
        """No master may run. replace: what the farm has already goes; otherwise it must have nothing."""
        if not replace and (there := self._there()):
            raise StoreError(
                f"this farm has something already: {there}", hint="to lose that for what the backup has: --replace"
            )
        with TemporaryDirectory(prefix="restore-", dir=self._paths.scratch) as folder:
            try:
                head = self._unpack(file, Path(folder))
            except (tarfile.TarError, zstandard.ZstdError, EOFError, ValidationError) as error:
                raise StoreError(f"that is no whole backup of kmodci: {type(error).__name__}") from error
            self._load(Path(folder))
            self._place(Path(folder))
        return head

    def _there(self) -> str:
        if self.settings.users_file.exists():
            return f"users ({self.settings.users_file})"
        for url in dict.fromkeys((self.settings.database_url, buildbot_database(self.settings))):
            if url.startswith("sqlite") and not Path(sa.make_url(url).database or "").exists():
                continue
            engine = sa.create_engine(url)
            try:
                tables = set(sa.inspect(engine).get_table_names())
            except sa.exc.SQLAlchemyError as error:
                raise StoreError(f"database: cannot look what is in it: {error}") from error
            finally:
                engine.dispose()
            if tables & {"masters", "kmodci_kernels"}:
                return "tables in its database"
        return ""

    # databases

    def _sqlite(self) -> dict[str, Path]:
        """The name in a backup -> the file."""
        urls = {"kmodci.sqlite": self.settings.database_url, "buildbot.sqlite": buildbot_database(self.settings)}
        return {name: Path(sa.make_url(url).database or "") for name, url in urls.items()}

    def _dumped(self, folder: Path) -> Iterator[tuple[str, Path]]:
        if self._kind == "postgresql":
            dump = folder / _DUMP
            _run("pg_dump", *_CUSTOM, f"--file={dump}", f"--dbname={self._server}")
            yield _DUMP, dump
            return
        for name, path in self._sqlite().items():
            if path.exists():
                with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(folder / name)) as copy:
                    source.backup(copy)
                yield name, folder / name

    @property
    def _server(self) -> str:
        """The database as libpq takes it: SQLAlchemy's, without its driver."""
        return re.sub(r"^postgresql\+\w+:", "postgresql:", self.settings.database_url)

    def _load(self, folder: Path) -> None:
        if self._kind == "postgresql":
            options = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction")
            _run("pg_restore", *options, f"--dbname={self._server}", str(folder / _DUMP))
            return
        for name, path in self._sqlite().items():
            # whatever these are of, it is not of the file that comes
            for old in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                old.unlink(missing_ok=True)
            if (folder / name).exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                (folder / name).replace(path)

    # files

    def _place_of(self, name: str) -> Path | None:
        """Where a member of a backup belongs; None for what is none."""
        fixed = {
            "users.json": self.settings.users_file,
            "tokens.json": self.settings.tokens_file,
            "password": self._paths.first_password,
            "farm-id": self._paths.master / "farm-id",
        }
        if _ACCEPTED.fullmatch(name):
            return self._paths.accepted / name.partition("/")[2]
        return fixed.get(name)

    def _files(self) -> Iterator[tuple[str, Path]]:
        accepted = sorted(self._paths.accepted.iterdir()) if self._paths.accepted.exists() else []
        notes = (f"accepted/{path.name}" for path in accepted)
        for name in ("users.json", "tokens.json", "password", "farm-id", *notes):
            path = self._place_of(name)
            if path is not None and path.exists():
                yield name, path

    def _unpack(self, file: IO[bytes], folder: Path) -> Head:
        """Members that are known, as plain files."""
        databases = (_DUMP,) if self._kind == "postgresql" else tuple(self._sqlite())
        with (
            zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            head = _head(tar)
            if head.database != self._kind:
                raise StoreError(
                    f"the backup is of a farm with {head.database}, and this one has {self._kind}",
                    hint="`database:` in kmodci.yml has to be of the same kind as it was then",
                )
            while (member := tar.next()) is not None:
                content = tar.extractfile(member) if member.isreg() else None
                is_database = member.name in databases
                if content is None or not (is_database or self._place_of(member.name)):
                    raise StoreError(f"that is no backup of kmodci: it has {member.name[:80]!r} in it")
                if not is_database and member.size > _FILE_LIMIT:
                    raise StoreError(f"that is no backup of kmodci: its {member.name} has {member.size} bytes")
                path = folder / member.name
                path.parent.mkdir(exist_ok=True)
                with path.open("wb") as copy:
                    while piece := content.read(1 << 20):
                        copy.write(piece)
        if not (folder / databases[0]).exists():
            raise StoreError("that is no whole backup of kmodci: it has no database in it")
        return head

    def _place(self, folder: Path) -> None:
        for known, old in list(self._files()):
            if not (folder / known).exists():
                old.unlink()
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and (place := self._place_of(name)):
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private(place, path.read_text(encoding="utf-8"))


def _head(tar: tarfile.TarFile) -> Head:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == _HEAD and first.isreg() else None
    if content is None or first is None or first.size > _HEAD_LIMIT:
        raise StoreError("that is no backup of kmodci: it does not begin with what it is of")
    head = Head.model_validate(json.loads(content.read()))
    if head.format != _FORMAT:
        raise StoreError(f"the backup is of format {head.format}, and this kmodci reads {_FORMAT}")
    return head


def _stood(bucket: Bucket) -> BucketStood | None:
    objects, size, newest = 0, 0, 0.0
    try:
        for found in bucket.list():
            objects, size, newest = objects + 1, size + found.size, max(newest, found.modified)
    except StoreError:
        return None
    return BucketStood(endpoint=bucket.endpoint, bucket=bucket.bucket, objects=objects, size=size, newest=newest)


def _run(program: str, *arguments: str) -> None:
    """Raises StoreError with what it says last."""
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
        )
    except FileNotFoundError as error:
        raise StoreError(f"{program} is not installed", hint="apt-get install postgresql-client") from error
    if done.returncode != 0:
        raise StoreError(f"{program} failed: {done.stderr.strip()[-1000:]}")


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member
