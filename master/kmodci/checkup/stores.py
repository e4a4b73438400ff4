"""Where the farm keeps what it knows: the bucket, its database, Buildbot's. Each is written to, and left as it was."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa
from alembic.script import ScriptDirectory

from kmodci.bucket import Bucket
from kmodci.errors import StoreError
from kmodci.findings import Finding, good, note, wrong
from kmodci.tables import META, METADATA

PROBES = "state/doctor/"
"""where the bucket gets an object for a moment"""
_BUSY = 5.0
"""seconds that another writer may have SQLite"""
_FRESH = "there is none yet: the first start makes it"


def of_bucket(bucket: Bucket) -> Iterator[Finding]:
    """Writes, reads, lists and deletes an object of its own. Raises StoreError."""
    key, content = f"{PROBES}{secrets.token_hex(8)}", secrets.token_bytes(1024)
    bucket.put(key, content)
    try:
        faults = []
        if bucket.get(key) != content:
            faults.append(wrong("what was written is read as something else", "is a cache before that S3 server?"))
        if key not in {each.key for each in bucket.list(PROBES)}:
            faults.append(wrong("what was written is not listed", "the farm needs a server that lists what it has"))
    finally:
        bucket.delete([key])
    if bucket.size(key) is not None:
        faults.append(
            wrong(f"{key} is there after it was deleted", "may these credentials delete? gc and index need it")
        )
    yield from faults or [good(f"{bucket.endpoint}/{bucket.bucket}: an object was written, read, listed and deleted")]


def of_images(bucket: Bucket) -> frozenset[str]:
    """The keys of the images that it has. Raises StoreError."""
    return frozenset(each.key for each in bucket.list("images/"))


def of_database(url: str) -> Iterator[Finding]:
    """The farm's own: can be opened and written to, and has the tables that this version reads. Raises StoreError."""
    if is_fresh(url):
        yield note(_FRESH)
        return
    with _opened(url) as (engine, name):
        seen = sa.inspect(engine)
        known = set(seen.get_table_names())
        lacking = [table.name for table in METADATA.sorted_tables if table.name not in known]
        for table in METADATA.sorted_tables:
            if table.name in known:
                there = {column["name"] for column in seen.get_columns(table.name)}
                lacking += [f"{table.name}.{column.name}" for column in table.columns if column.name not in there]
        if lacking:
            yield note(f"{name} is of an earlier version: the next start adds {', '.join(lacking[:4])}")
        if META.name in known:
            with engine.connect() as connection, connection.begin() as undone:
                connection.execute(META.insert().values(key=f"doctor/{secrets.token_hex(8)}", value=""))
                undone.rollback()
            yield good(f"{name} can be read and written")


def of_buildbot(url: str) -> Iterator[Finding]:
    """Buildbot's: whether its tables are those of the version that is installed. Raises StoreError."""
    if is_fresh(url):
        yield note(_FRESH)
        return
    with _opened(url) as (engine, name):
        if not sa.inspect(engine).has_table("alembic_version"):
            yield note(f"{name} has none of Buildbot's tables yet: the first start makes them")
            return
        with engine.connect() as connection:
            there = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    head, known = _revisions()
    if there == head:
        yield good(f"{name} has the tables of this version of Buildbot")
    elif there in known:
        yield note(f"{name} is of an earlier Buildbot: the next start migrates it", "make a backup before that")
    else:
        advice = "install the Buildbot that made them (master/requirements.txt), or restore a backup of before"
        yield wrong(f"{name} is of a later Buildbot (revision {there}), which this one cannot read", advice)


def _revisions() -> tuple[str | None, frozenset[str]]:
    """The newest of this Buildbot's, and all that lead to it."""
    spec = find_spec("buildbot")
    assert spec is not None and spec.origin is not None
    scripts = ScriptDirectory(str(Path(spec.origin).with_name("db") / "migrations"))
    return scripts.get_current_head(), frozenset(each.revision for each in scripts.walk_revisions())


def is_fresh(url: str) -> bool:
    """Whether it is a file that is not there: to open it would make it."""
    place = sa.make_url(url)
    return place.get_backend_name() == "sqlite" and not Path(place.database or "").exists()


@contextmanager
def _opened(url: str) -> Iterator[tuple[sa.Engine, str]]:
    """An engine of its own, with how the database may be called. Raises StoreError."""
    place = sa.make_url(url)
    name = place.render_as_string(hide_password=True)
    is_file = place.get_backend_name() == "sqlite"
    try:
        engine = sa.create_engine(url, connect_args={"timeout": _BUSY} if is_file else {})
    except (sa.exc.ArgumentError, ImportError) as error:
        raise StoreError(f"database {name}: {error}", hint="see `database:` in kmodci.yml") from None
    try:
        yield engine, name
    except (sa.exc.SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        hint = "does it run, may this user open it, and is its disk full?"
        raise StoreError(f"database {name}: {cause}", hint=hint) from None
    finally:
        engine.dispose()
