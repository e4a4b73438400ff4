"""Every build id is a builder in the web UI from the moment its kernel is discovered.

Buildbot makes a virtual builder's row when its first build starts. Here the row is there before,
so that the kernel can be seen, searched and forced; no reconfig, no restart.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from buildbot.util.service import BuildbotService
from twisted.internet import defer
from twisted.python import log

from ..matrix import Entry

# The UI counts a builder with this tag as active although no master runs it (ui DataUtils.ts).
VIRTUAL = "_virtual_"


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
    return [*dict.fromkeys(words), VIRTUAL]


def properties(entry: Entry) -> dict[str, object]:
    """What makes a build request of a real builder run as this entry's virtual builder."""
    return {
        "virtual_builder_name": str(entry.build_id),
        "virtual_builder_description": description(entry),
        "virtual_builder_tags": tags(entry),
    }


def description(entry: Entry) -> str:
    """One line for the builder's page."""
    kernel = entry.kernel
    return f"{entry.build_id.module} for {kernel.release} ({kernel.version}), {kernel.target}, {kernel.toolchain}"


@dataclass(frozen=True, slots=True)
class _Row:
    builderid: int
    line: str


class VirtualBuilders(BuildbotService):
    """Keeps the rows; other services find it by its name."""

    name = "virtual-builders"

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, _Row] = {}
        self._lock = defer.DeferredLock()

    async def reconfigService(self) -> None:
        """A reconfig unlinks every builder that no configuration names, so link them again."""
        for row in self._rows.values():
            await self._link(row.builderid)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    async def register(self, entries: Iterable[Entry]) -> int:
        """Makes what is missing. Returns how many builders are new in this master's life."""
        await self._lock.acquire()
        try:
            new = 0
            for entry in entries:
                name, line = str(entry.build_id), description(entry)
                known = self._rows.get(name)
                if known is not None and known.line == line:
                    continue
                new += known is None
                self._rows[name] = _Row(await self._write(name, line, tags(entry)), line)
            if new:
                log.msg(f"{new} builders registered, {len(self._rows)} in all")
            return new
        finally:
            self._lock.release()

    async def _write(self, name: str, line: str, words: list[str]) -> int:
        builderid: int = await self.master.data.updates.findBuilderId(name)
        # db, not data.updates: the latter makes an event that reads the tags of every builder
        await self.master.db.builders.updateBuilderInfo(builderid, line, None, None, None, words)
        await self._link(builderid)
        return builderid

    async def _link(self, builderid: int) -> None:
        await self.master.db.builders.addBuilderMaster(builderid=builderid, masterid=self.master.masterid)
