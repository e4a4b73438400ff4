"""What only the database knows, once more in the bucket: so that a farm which loses the one goes on with the other.

What is published can be learned from manifests (`recovery`). What cannot is written down here: the catalogue, with the
kernels that are gone; builds that failed or were skipped; what a person cancelled; what was told; history. Runs are
not: what became of them is in the bucket already, and a run that was open is planned anew.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
import zstandard

from .bucket import Bucket
from .errors import StoreError
from .keys import MEMORY
from .model import Status
from .store import Store
from .tables import (
    APPEARANCES,
    ARRIVALS,
    HOLDS,
    KERNELS,
    META,
    MODULES,
    NEWS_GROUPS,
    NEWS_RUNS,
    OUTCOMES,
    REPOSITORIES,
    TALLIES,
)

_TABLES = {
    table.name: table
    for table in (
        REPOSITORIES, KERNELS, MODULES, OUTCOMES, HOLDS, APPEARANCES, ARRIVALS, TALLIES, NEWS_GROUPS, NEWS_RUNS, META
    )
}  # fmt: skip
_LARGEST = 1 << 30
"""bytes, unpacked"""


@dataclass(slots=True)
class Memory:
    """Writes it down, when it is another than before. From one thread at a time."""

    store: Store
    bucket: Bucket
    _written: str = ""

    def write(self) -> bool:
        """Whether anything had to be. Raises StoreError."""
        content = json.dumps(_rows(self.store), sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()
        if digest == self._written:
            return False
        self.bucket.put(MEMORY, zstandard.ZstdCompressor().compress(content))
        self._written = digest
        return True


def recall(store: Store, bucket: Bucket) -> int:
    """Tells a store that is new what an earlier one knew. No farm may run on it. Returns how many rows that were.

    Raises StoreError, also where the bucket does not answer: what is not known then, would be written over later.
    """
    if not is_new(store):
        return 0
    packed = bucket.get(MEMORY)
    if packed is None:
        return 0
    rows = _parsed(packed)
    # read once more, whatever has changed: with an index came what is not kept here
    for repository in rows[REPOSITORIES.name]:
        repository["digest"] = ""
    with store.transaction("remember what an earlier database knew") as connection:
        for name, table in _TABLES.items():
            connection.execute(table.delete())
            if rows[name]:
                connection.execute(table.insert(), rows[name])
    return sum(map(len, rows.values()))


def is_new(store: Store) -> bool:
    """Whether it knows neither a kernel nor a build. Raises StoreError."""
    what = "ask whether there is anything"
    return not any(store.rows(what, sa.select(column).limit(1)) for column in (KERNELS.c.release, OUTCOMES.c.key))


def _rows(store: Store) -> dict[str, list[dict[str, object]]]:
    # what is built, the manifests say
    queries = {**{name: sa.select(table) for name, table in _TABLES.items()}}
    queries[OUTCOMES.name] = sa.select(OUTCOMES).where(OUTCOMES.c.status != Status.BUILT)
    # in an order of their own, so that the same is the same
    return {
        name: [dict(row) for row in store.rows("write down what is known", query.order_by(*_TABLES[name].primary_key))]
        for name, query in queries.items()
    }


def _parsed(packed: bytes) -> dict[str, list[dict[str, object]]]:
    """What it holds, checked by type; what a later version knows besides is left out."""
    try:
        reader = zstandard.ZstdDecompressor().stream_reader(packed)
        content = reader.read(_LARGEST)
        told = json.loads(content)
        return {name: [_row(table, row) for row in told.get(name, [])] for name, table in _TABLES.items()}
    except (zstandard.ZstdError, ValueError, TypeError, AttributeError, KeyError) as damage:
        raise StoreError(
            f"{MEMORY} in the bucket is not what kmodci wrote: {damage}",
            hint="remove it, and the farm goes on with what is published; or restore the bucket, or the database",
        ) from None


def _row(table: sa.Table, row: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for column in table.columns:
        if column.name not in row and column.server_default is not None:
            continue
        value = row[column.name]
        if not (value is None and column.nullable) and not isinstance(value, _kind(column)):
            raise ValueError(f"{table.name}.{column.name} is {value!r:.60}")
        found[column.name] = value
    return found


def _kind(column: sa.Column[object]) -> tuple[type, ...]:
    """What Python has for what is in it."""
    match column.type:
        case sa.Float():
            return (int, float)
        case sa.Integer():
            return (int,)
        case sa.JSON():
            return (list, dict)
    return (str,)
