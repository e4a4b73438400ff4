"""What the farm remembers: repositories, kernels, module versions, how builds ended.

SQLite in a file, or PostgreSQL; the tables may live beside Buildbot's own. One writer, the master; the command
line only reads. But for the kernels that are gone, nothing here is the only copy of anything: the mirrors and the
bucket are.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import sqlalchemy as sa
import zstandard
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from .discovery import merge
from .doubt import Doubt
from .errors import StoreError
from .model import BuildId, Evidence, Kernel, ModuleVersion, Outcome, Package, Status, Target
from .tables import CONTENTS, KERNELS, META, METADATA, MODULES, OUTCOMES, REPOSITORIES

_BUSY_MILLISECONDS = 30_000
COMPILER_NOTES = "compiler/"


def compiler_note(headers_digest: str) -> str:
    """Where the compiler is noted that these header packages name."""
    return f"{COMPILER_NOTES}{headers_digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryState:
    """How the last looks at a repository went. Times are seconds since the epoch; 0 is never."""

    name: str
    digest: str = ""
    """of the last good look, to be handed to the next"""
    dated: float = 0.0
    """when the repository was published, as it says itself"""
    last_ok: float = 0.0
    last_try: float = 0.0
    error: str = ""
    """why the last look failed; empty if it did not"""
    hint: str = ""
    """what to do about that"""
    problems: tuple[str, ...] = ()
    """what the last good look found to be wrong, while the rest was right"""
    doubt: Doubt | None = None
    """what it says now, if that is not believed yet"""
    mirror_faults: tuple[str, ...] = ()
    """the mirrors that failed although another one answered, each with the reason"""


class Store:
    """Every method is one transaction, may be called from any thread, and raises StoreError."""

    def __init__(self, url: str) -> None:
        """url: as SQLAlchemy writes it (`sqlite:////var/lib/kmodci/kmodci.sqlite`, `postgresql://...`)."""
        try:
            self._engine = sa.create_engine(url, pool_pre_ping=True)
        except (sa.exc.ArgumentError, ImportError) as error:
            where = url.rpartition("@")[2]
            raise StoreError(f"database {where}: {error}", hint="see `database:` in kmodci.yml") from error
        self._name = self._engine.url.render_as_string(hide_password=True)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _set_up_sqlite)

    def create(self) -> None:
        """Makes what is missing of the tables. The folder of an SQLite file has to be there."""
        with self.transaction("create the tables") as connection:
            METADATA.create_all(connection)
            _add_columns(connection)

    def close(self) -> None:
        self._engine.dispose()

    def repository_state(self, name: str) -> RepositoryState:
        """Of a repository that was never looked at: an empty one."""
        return self.repository_states().get(name) or RepositoryState(name=name)

    def repository_states(self) -> dict[str, RepositoryState]:
        """By name."""
        rows = self.rows("read repositories", sa.select(REPOSITORIES))
        return {row["name"]: _state(row) for row in rows}

    def counts(self) -> dict[str, tuple[int, int]]:
        """Of each repository, how many kernels it lists, and how many are gone from it."""
        is_gone = sa.case((KERNELS.c.gone > 0, 1), else_=0)
        query = sa.select(KERNELS.c.repository, sa.func.count().label("known"), sa.func.sum(is_gone).label("gone"))
        rows = self.rows("count kernels", query.group_by(KERNELS.c.repository))
        return {row["repository"]: (row["known"] - row["gone"], row["gone"]) for row in rows}

    def put_repository(self, state: RepositoryState) -> None:
        lists = {"problems": list(state.problems), "mirror_faults": list(state.mirror_faults)}
        self.replace("write a repository", REPOSITORIES, [{**asdict(state), **lists}])

    def kernels(self) -> dict[str, Kernel]:
        """Every kernel that a repository lists, or has listed, by `target/release`."""
        listed = self.listed()
        return {str(kernel): kernel for kernel in merge(listed[name] for name in sorted(listed))}

    def kernel_names(self) -> list[str]:
        """`target/release` of each of them, without all the rest."""
        query = sa.select(KERNELS.c.target, KERNELS.c.release).distinct()
        return [f"{row['target']}/{row['release']}" for row in self.rows("read kernels", query)]

    def as_learned(self, kernel: Kernel) -> Kernel:
        """The kernel, with the compiler that its headers were found to name, where its package does not say."""
        if kernel.evidence is not Evidence.SERIES:
            return kernel
        return _as_learned(kernel, {note: self.meta(note) for note in map(compiler_note, kernel.headers_digests)})

    def note_compiler(self, kernel: Kernel, toolchain: str) -> None:
        """What the unpacked headers name (`gcc-12`); empty for nothing that can be read."""
        self.put_meta(compiler_note(kernel.headers_digest), toolchain)

    def listed(self) -> dict[str, tuple[Kernel, ...]]:
        """What each repository lists, and what is gone from it."""
        found: defaultdict[str, list[Kernel]] = defaultdict(list)
        learned = self.metas(COMPILER_NOTES)
        for row in self.rows("read kernels", sa.select(KERNELS)):
            found[row["repository"]].append(_as_learned(_kernel(row), learned))
        return {name: tuple(kernels) for name, kernels in found.items()}

    def put_kernels(self, repository: str, kernels: Iterable[Kernel]) -> None:
        """Adds to, or replaces in, what a repository lists; with `gone`, what it does not list any more."""
        self.replace("write kernels", KERNELS, [_kernel_row(repository, kernel) for kernel in kernels])

    def content(self, sha256: str) -> bytes | None:
        """What a package holds, if that was kept with the index that lists it."""
        query = sa.select(CONTENTS).where(CONTENTS.c.sha256 == sha256)
        found = self.rows("read a content", query)
        return zstandard.ZstdDecompressor().decompress(found[0]["content"]) if found else None

    def contents(self, kernel: Kernel) -> dict[str, bytes]:
        """All of a kernel's packages that were kept, by SHA256."""
        found = {package.sha256: self.content(package.sha256) for package in kernel.headers if package.sha256}
        return {sha256: content for sha256, content in found.items() if content is not None}

    def put_contents(self, contents: Mapping[str, bytes]) -> None:
        """By SHA256."""
        packer = zstandard.ZstdCompressor()
        rows = [{"sha256": sha256, "content": packer.compress(content)} for sha256, content in contents.items()]
        self.replace("write contents", CONTENTS, rows)

    def forget_contents(self) -> None:
        """Of packages that no kernel has any more."""
        there = {row["sha256"] for row in self.rows("read contents", sa.select(CONTENTS.c.sha256))}
        if there:
            used = {package.sha256 for of in self.listed().values() for kernel in of for package in kernel.headers}
            self.replace("forget contents", CONTENTS, [], away=[{"sha256": each} for each in there - used])

    def module_version(self, name: str) -> ModuleVersion | None:
        return self.module_versions().get(name)

    def module_versions(self) -> dict[str, ModuleVersion]:
        """By module."""
        return {row["module"]: ModuleVersion(**row) for row in self.rows("read modules", sa.select(MODULES))}

    def put_module_version(self, version: ModuleVersion) -> None:
        self.replace("write a module", MODULES, [{**asdict(version), "fetch": dict(version.fetch)}])

    def outcomes(self) -> dict[str, Outcome]:
        """The last one of each build, by build id."""
        return {row["build_id"]: _outcome(row) for row in self.rows("read outcomes", sa.select(OUTCOMES))}

    def outcome(self, build_id: BuildId) -> Outcome | None:
        query = sa.select(OUTCOMES).where(OUTCOMES.c.build_id == str(build_id))
        return next((_outcome(row) for row in self.rows("read an outcome", query)), None)

    def put_outcome(self, outcome: Outcome) -> None:
        self.put_outcomes([outcome])

    def put_outcomes(self, outcomes: Iterable[Outcome]) -> None:
        names = [column.name for column in OUTCOMES.c]
        rows = [{**{name: getattr(each, name) for name in names}, "build_id": str(each.build_id)} for each in outcomes]
        self.replace("write outcomes", OUTCOMES, rows)

    def forget_outcomes(self, build_ids: Iterable[BuildId]) -> None:
        """As if these had never been built; what is in the bucket stays."""
        self.replace("forget outcomes", OUTCOMES, [], away=[{"build_id": str(each)} for each in build_ids])

    def meta(self, key: str) -> str:
        """A note by its name; empty if there is none."""
        rows = self.rows("read a note", sa.select(META).where(META.c.key == key))
        return next((str(row["value"]) for row in rows), "")

    def metas(self, prefix: str) -> dict[str, str]:
        """The notes whose names start so, by name."""
        query = sa.select(META).where(META.c.key.startswith(prefix, autoescape=True))
        return {row["key"]: row["value"] for row in self.rows("read notes", query)}

    def forget_metas(self, keys: Iterable[str]) -> None:
        self.replace("forget notes", META, [], away=[{"key": key} for key in keys])

    def put_meta(self, key: str, value: str) -> None:
        self.put_metas({key: value})

    def put_metas(self, notes: Mapping[str, str]) -> None:
        self.replace("write notes", META, [{"key": key, "value": value} for key, value in notes.items()])

    # what `runstore` is made of, too

    @contextmanager
    def transaction(self, what: str) -> Iterator[sa.Connection]:
        """what: in words, for the error when it fails."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (sa.exc.SQLAlchemyError, OSError) as error:
            cause = getattr(error, "orig", None) or error
            raise StoreError(f"database {self._name}: cannot {what}: {cause}", hint=_advice(str(cause))) from error

    def rows(self, what: str, query: sa.Select[tuple[object, ...]]) -> Sequence[sa.RowMapping]:
        """All that a query finds."""
        with self.transaction(what) as connection:
            return connection.execute(query).mappings().all()

    def replace(
        self,
        what: str,
        table: sa.Table,
        rows: Sequence[Mapping[str, object]],
        *,
        away: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """Deletes, then inserts: the one way to replace rows that is the same in every database."""
        keys = [column.name for column in table.primary_key]
        old = [{f"old_{key}": row[key] for key in keys} for row in (*rows, *away)]
        same = sa.and_(*(table.c[key] == sa.bindparam(f"old_{key}") for key in keys))
        with self.transaction(what) as connection:
            if old:
                connection.execute(table.delete().where(same), old)
            if rows:
                connection.execute(table.insert(), [dict(row) for row in rows])


def _set_up_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    """The write-ahead log lets the command line read while the master writes (https://sqlite.org/wal.html)."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _add_columns(connection: sa.Connection) -> None:
    """Tables that an earlier version made get the columns that came later; those have a default for that."""
    seen = sa.inspect(connection)
    for table in METADATA.sorted_tables:
        there = {column["name"] for column in seen.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                words = sa.schema.CreateColumn(column).compile(connection.engine)
                connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {words}"))


def _advice(cause: str) -> str:
    if re.search(r"no such table|relation .* does not exist", cause):
        return "the farm makes its tables when it starts for the first time: start it once"
    if re.search(r"no such column|column .* does not exist", cause):
        return "an earlier version made this; the farm adds what is missing when it starts: start it once"
    if "unable to open database file" in cause:
        return "does its folder exist, and may this user write there? `state:` in kmodci.yml names it"
    return ""


def _state(row: sa.RowMapping) -> RepositoryState:
    lists = {"problems": tuple(row["problems"]), "mirror_faults": tuple(row["mirror_faults"])}
    doubt = Doubt(**row["doubt"]) if row["doubt"] else None
    return RepositoryState(**{**row, **lists, "doubt": doubt})


def _kernel(row: sa.RowMapping) -> Kernel:
    return Kernel(
        target=Target.parse(row["target"]),
        release=row["release"],
        version=row["version"],
        flavour=row["flavour"],
        toolchain=row["toolchain"],
        repository=row["repository"],
        headers=tuple(Package(**package) for package in row["headers"]),
        evidence=Evidence(row["evidence"]),
        gone=row["gone"],
        native=tuple(Package(**package) for package in row["native"]),
    )


def _as_learned(kernel: Kernel, learned: Mapping[str, str]) -> Kernel:
    if kernel.evidence is not Evidence.SERIES:
        return kernel
    # its own headers are the same, whatever programs came with them
    found = filter(None, (learned.get(compiler_note(digest)) for digest in kernel.headers_digests))
    toolchain = next(found, "")
    return (
        replace(kernel, toolchain=toolchain, evidence=Evidence.CONFIG, assumed=kernel.toolchain)
        if toolchain
        else kernel
    )


def _kernel_row(repository: str, kernel: Kernel) -> dict[str, object]:
    return {
        "repository": repository,
        "target": str(kernel.target),
        "release": kernel.release,
        "version": kernel.version,
        "flavour": kernel.flavour,
        "toolchain": kernel.toolchain,
        "headers": [asdict(package) for package in kernel.headers],
        "evidence": kernel.evidence,
        "gone": kernel.gone,
        "native": [asdict(package) for package in kernel.native],
    }


def _outcome(row: sa.RowMapping) -> Outcome:
    return Outcome(**{**row, "build_id": BuildId.parse(row["build_id"]), "status": Status(row["status"])})
