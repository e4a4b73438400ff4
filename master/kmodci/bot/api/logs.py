"""What a build says: the logs of its steps one after the other, live; or what was published, where these are gone."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from buildbot.master import BuildMaster
from twisted.internet import defer
from twisted.web.server import Request

from ...apiasked import LOG_CHUNK, LogQuery
from ...board import Board
from ...farm import Farm
from ...logtext import Index, Lines
from ...ondemand import Answer
from ...openapi import TEXT
from ...publishing import read_manifest
from ..steplogs import StepLog, logs_of, path_of
from .access import DEAR, Caller
from .base import Body, Context, Endpoint, query_of, refused
from .unpacked import Unpacked

_KEPT = 256


class Indices:
    """Of the logs that were asked for last, each with a lock: it is read and grows by one at a time."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[Index, defer.DeferredLock]] = OrderedDict()

    def of(self, log: int) -> tuple[Index, defer.DeferredLock]:
        found = self._known.setdefault(log, (Index(), defer.DeferredLock()))
        self._known.move_to_end(log)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found


class Logs:
    """What is kept of those that were asked for last: of the live, and of the published ones."""

    def __init__(self) -> None:
        self.indices, self.unpacked = Indices(), Unpacked()


class Log(Endpoint):
    """From a byte on, in pieces."""

    def __init__(self, context: Context, logs: Logs, find: Callable[[Caller], Awaitable[Answer]]) -> None:
        super().__init__(context)
        self._find = find
        self._logs = logs

    def get(self, request: Request, caller: Caller) -> Body:
        return self._read(request, query_of(request, LogQuery).offset, caller)

    async def _read(self, request: Request, offset: int, caller: Caller) -> bytes:
        found = await self._find(caller)
        address = _address(found, self.context.board)
        live = _Live(self.context.master, address, self._logs.indices)
        self.context.access.charge(caller, DEAR)
        piece = await self.context.in_turn(lambda: live.read(offset)) if found.planned else None
        if piece is None:
            piece = await self.context.in_thread(_published, self.context.farm, found, offset, self._logs.unpacked)
        if piece is None:
            raise refused(HTTPStatus.NOT_FOUND, f"there is no log of {found.build_id}", "it has not been built yet")
        data, size, is_complete, name = piece
        for header, value in {
            "Content-Type": TEXT,
            "X-Log-Size": str(size),
            "X-Log-Complete": "true" if is_complete else "false",
            "X-Log-Build": name,
        }.items():
            request.setHeader(header.encode(), value.encode())
        return data


Piece = tuple[bytes, int, bool, str]
"""some of it, the bytes that are known, whether that is all, which build it is of"""


class _Live:
    """Of a build that Buildbot still has the logs of."""

    def __init__(self, master: BuildMaster, address: str, indices: Indices) -> None:
        self._master = master
        self._indices = indices
        self._path = path_of(address)

    async def read(self, offset: int) -> Piece | None:
        """None if there is nothing of it."""
        if not self._path:
            return None
        build = await self._master.data.get(self._path)
        if build is None:
            return None
        logs = await logs_of(self._master, self._path)
        if not logs and build["complete"]:
            return None
        data, before = bytearray(), 0
        for log in logs:
            index, lock = self._indices.of(log.identity)
            await lock.acquire()
            try:
                lines = self._lines(log)
                await index.grow(log.lines, lines)
                if before + index.size > offset and len(data) < LOG_CHUNK:
                    data += await index.read(max(0, offset - before), LOG_CHUNK - len(data), lines)
                before += index.size
            finally:
                lock.release()
        return bytes(data), before, bool(build["complete"]), "/".join(self._path[1::2])

    def _lines(self, log: StepLog) -> Lines:
        async def read(first: int, count: int) -> str:
            found = await self._master.data.get(("logs", str(log.identity), "contents"), offset=first, limit=count)
            lines = found["content"].split("\n")[:-1]
            return "".join(f"{line[1:] if log.has_streams else line}\n" for line in lines)

        return read


def _address(found: Answer, board: Board) -> str:
    """Of the build that runs, or of the last one; empty if there was none."""
    name = str(found.build_id)
    standing = board.standings.get(name)
    last = standing.outcome.build_url if standing and standing.outcome else ""
    return board.running.get(name) or last


def _published(farm: Farm, found: Answer, offset: int, unpacked: Unpacked) -> Piece | None:
    """In a thread. Raises StoreError."""
    if found.entry is None:
        return None
    manifest = read_manifest(farm.bucket, found.entry.manifest)
    # one that is built again has its log in the same place
    key = (manifest.log, manifest.inputs, manifest.finished)
    piece = unpacked.piece(key, offset)
    if piece is None:
        data = farm.bucket.get(manifest.log)
        if data is None:
            return None
        piece = unpacked.unpack(key, data, offset)
    return *piece, True, found.entry.manifest
