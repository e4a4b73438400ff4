"""primary.sqlite: the packages of an rpm repository as yum read them; read where no XML is offered.

A database from a mirror is as hostile as anything from there (https://www.sqlite.org/security.html): it is opened
read-only, nothing in it may act, and what it may cost has a limit.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from kmodci.errors import IndexDamaged
from kmodci.release import BadName

from .base import Listed, Scan, Wanted
from .primary import MOST
from .repodata import located, make_checksum, size_of
from .rpmpackage import Entry, evr, is_wanted, make_listed

# what a statement may do: read columns of tables, and call the functions that a comparison is
_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
_LONGEST = 1024 * 1024
# of the virtual machine; the largest index takes a hundredth of it, a view that counts to infinity all
_STEPS = 200_000_000
_TABLES = ("packages", "provides", "requires")
_PACKAGES = """
    SELECT pkgKey, name, epoch, version, release, arch, location_href, location_base, size_package, checksum_type,
           pkgId, rpm_sourcerpm
    FROM packages WHERE name >= ? AND name < ? ORDER BY pkgKey
"""
_ENTRIES = {
    kind: f"SELECT name, flags, epoch, version, release FROM {kind} WHERE pkgKey = ? ORDER BY rowid"  # noqa: S608
    for kind in ("provides", "requires")
}


def scan_database(content: Iterable[bytes], *, repository: str, wanted: Wanted) -> Scan:
    """As `primary.scan_primary`. content: the database, decompressed."""
    with TemporaryDirectory(prefix="kmodci-primary-") as folder:
        path = Path(folder) / "primary.sqlite"
        with path.open("wb") as file:
            for piece in content:
                file.write(piece)
        try:
            with closing(_opened(path)) as database:
                return _scan(database, repository, wanted)
        except (sqlite3.Error, ValueError, TypeError) as fault:
            raise IndexDamaged(f"the primary database cannot be read: {fault}") from fault


def _scan(database: sqlite3.Connection, repository: str, wanted: Wanted) -> Scan:
    begins = [prefix.partition("*")[0] for prefix in wanted.prefixes]
    ranges = [(begin, f"{begin}\U0010ffff") for begin in begins]
    ranges += [(name, f"{name}\0") for name in sorted(wanted.names)]
    found = (row for bounds in ranges for row in database.execute(_PACKAGES, bounds).fetchmany(MOST + 1))
    rows = {int(row["pkgKey"]): row for row in found if wanted.has(_text(row, "name"))}
    if len(rows) > MOST:
        raise IndexDamaged(f"the index lists more than {MOST} packages that are named like a kernel's")
    listed: list[Listed] = []
    problems: list[str] = []
    for key in sorted(rows):
        try:
            package = _package(database, rows[key], repository)
        except (BadName, IndexDamaged) as fault:
            problems.append(f"{_text(rows[key], 'name')[:80]!r}: {fault.brief}")
        else:
            if is_wanted(package, wanted):
                listed.append(package)
    return Scan(listed=tuple(listed), problems=tuple(problems))


def _package(database: sqlite3.Connection, row: sqlite3.Row, repository: str) -> Listed:
    """Raises BadName, IndexDamaged."""
    provides, requires = (database.execute(_ENTRIES[kind], (row["pkgKey"],)).fetchmany(MOST) for kind in _ENTRIES)
    return make_listed(
        name=_text(row, "name"),
        version=evr(_text(row, "epoch"), _text(row, "version"), _text(row, "release")),
        arch=_text(row, "arch"),
        url=located(repository, _text(row, "location_href"), _text(row, "location_base")),
        size=size_of(_text(row, "size_package")),
        checksum=make_checksum(_text(row, "checksum_type"), _text(row, "pkgId")),
        provides=map(_entry, provides),
        requires=map(_entry, requires),
        source=_text(row, "rpm_sourcerpm"),
    )


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        name=_text(row, "name"),
        flags=_text(row, "flags"),
        epoch=_text(row, "epoch"),
        version=_text(row, "version"),
        release=_text(row, "release"),
    )


def _text(row: sqlite3.Row, column: str) -> str:
    return "" if row[column] is None else str(row[column])


def _opened(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.Error, IndexDamaged."""
    database = sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)
    database.row_factory = sqlite3.Row
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA cell_size_check = ON")
    # before the schema is looked at
    database.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)
    steps = iter(range(_STEPS // 1000))
    database.set_progress_handler(lambda: next(steps, None) is None, 1000)
    made = {row["name"]: str(row["sql"]) for row in database.execute("SELECT name, sql FROM sqlite_master")}
    for table in _TABLES:
        if not made.get(table, "").upper().startswith("CREATE TABLE"):
            raise IndexDamaged(f"not a primary database: it has no table {table!r}")
    return database
