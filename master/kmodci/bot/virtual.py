"""Every build id is a builder in the web UI from the moment its kernel is discovered.

Buildbot makes a virtual builder's row when its first build starts. Here the row is there before,
so that the kernel can be seen, searched and forced; no reconfig, no restart.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from buildbot.util.service import BuildbotService
from twisted.internet import defer
from twisted.python import log

from ..matrix import Entry

# The UI counts a builder with this tag as active although no master runs it (ui DataUtils.ts).
VIRTUAL = "_virtual_"
# of a kernel that no repository lists any more
GONE = "gone"


def tags(entry: Entry) -> list[str]:
    """What a build can be filtered by in the web UI."""
    target = entry.kernel.target
    words = [
        entry.build_id.module,
        target.distro,
        target.series,
        target.arch,
        entry.kernel.flavour,
        entry.kernel.toolchain,
    ]
    return [*dict.fromkeys(words), *([GONE] if entry.kernel.gone else []), VIRTUAL]


def properties(entry: Entry) -> dict[str, object]:
    """What makes a build request of a real builder run as this entry's virtual builder."""
    return {
        "virtual_builder_name": str(entry.build_id),
        "virtual_builder_description": description(entry),
        "virtual_builder_tags": tags(entry),
    }


def request_of(entry: Entry) -> tuple[str, dict[str, object]]:
    """The real builder to ask, and the properties that make it this entry's."""
    return entry.toolchain, properties(entry)


def description(entry: Entry) -> str:
    """One line for the builder's page."""
    kernel = entry.kernel
    line = f"{entry.build_id.module} for {kernel.release} ({kernel.version}), {kernel.target}, {kernel.toolchain}"
    return f"{line}, {kernel.absence}" if kernel.gone else line


@dataclass(frozen=True, slots=True)
class _Row:
    line: str
    tags: tuple[str, ...]


class VirtualBuilders(BuildbotService):
    """Keeps the rows; other services find it by its name.

    Written to Buildbot's tables directly and all in one transaction: through its API a builder costs three,
    and an event that reads the tags of every builder. The rows are of no master: Buildbot takes a transaction for
    each that is, whenever it starts, stops or reads its configuration.
    """

    name = "virtual-builders"

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, _Row] = {}
        self._lock = defer.DeferredLock()

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    async def register(self, entries: Iterable[Entry]) -> int:
        """Makes and corrects what differs. Returns how many builders are new in this master's life."""
        await self._lock.acquire()
        try:
            rows = {str(entry.build_id): _Row(description(entry), tuple(tags(entry))) for entry in entries}
            differ = {name: row for name, row in rows.items() if self._rows.get(name) != row}
            if not differ:
                return 0
            await self.master.db.pool.do(self._write, differ)
            new = len(differ.keys() - self._rows.keys())
            self._rows |= differ
            log.msg(f"{new} builders registered, {len(self._rows)} in all")
            return new
        finally:
            self._lock.release()

    async def addresses(self, names: Collection[str]) -> dict[str, str]:
        """Of the builders' pages, by name; for a few at a time."""
        base = f"{self.master.config.buildbotURL}#/builders/"
        return {name: f"{base}{number}" for name, number in (await self.numbers(names)).items()}

    async def numbers(self, names: Collection[str]) -> dict[str, int]:
        """Of the builders, in Buildbot's database; by name."""
        builders, hashed = self.master.db.model.builders, self.master.db.builders.hashColumns
        query = sa.select(builders.c.name, builders.c.id).where(builders.c.name_hash.in_(map(hashed, names)))
        rows = await self.master.db.pool.do(lambda connection: connection.execute(query).fetchall())
        return {row.name: row.id for row in rows}

    def _write(self, connection: sa.Connection, rows: Mapping[str, _Row]) -> None:
        model, named = self.master.db.model, self.master.db.builders.hashColumns
        before = _by_name(connection, model.builders)
        _insert(
            connection,
            model.builders,
            [{"name": name, "name_hash": named(name)} for name in rows if name not in before],
        )
        found = sa.select(model.builders.c.name, model.builders.c.id, model.builders.c.description)
        there = {name: (number, line) for name, number, line in connection.execute(found)}
        ids = {name: number for name, (number, _) in there.items()}
        other = [
            {"row": ids[name], "description": row.line} for name, row in rows.items() if row.line != there[name][1]
        ]
        if other:
            connection.execute(model.builders.update().where(model.builders.c.id == sa.bindparam("row")), other)
        words = {tag for row in rows.values() for tag in row.tags}
        known = _by_name(connection, model.tags)
        _insert(
            connection, model.tags, [{"name": word, "name_hash": named(word)} for word in words if word not in known]
        )
        tag_ids = _by_name(connection, model.tags)
        _tag(
            connection,
            model.builders_tags,
            {ids[name]: {tag_ids[tag] for tag in row.tags} for name, row in rows.items()},
        )
        connection.commit()


def _by_name(connection: sa.Connection, table: sa.Table) -> dict[str, int]:
    return {name: number for number, name in connection.execute(sa.select(table.c.id, table.c.name))}


def _insert(connection: sa.Connection, table: sa.Table, rows: list[dict[str, object]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)


def _tag(connection: sa.Connection, table: sa.Table, wanted: Mapping[int, set[int]]) -> None:
    """Gives builders these tags and no others: a compiler may turn out to be another. wanted: by builder."""
    there = {
        (row.id, row.builderid, row.tagid) for row in connection.execute(sa.select(table)) if row.builderid in wanted
    }
    gone = [{"row": number} for number, builder, tag in there if tag not in wanted[builder]]
    if gone:
        connection.execute(table.delete().where(table.c.id == sa.bindparam("row")), gone)
    known = {(builder, tag) for _, builder, tag in there}
    new = sorted({(builder, tag) for builder, tags in wanted.items() for tag in tags} - known)
    _insert(connection, table, [{"builderid": builder, "tagid": tag} for builder, tag in new])
