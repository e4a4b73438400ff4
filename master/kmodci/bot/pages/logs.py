"""The log of a build: from the bucket, where it was published with its module, or else from Buildbot, which forgets."""

from dataclasses import dataclass

import zstandard
from buildbot.master import BuildMaster
from twisted.internet import threads

from ...ansi import last_lines, plain_text
from ...bucket import Bucket
from ...buildview import BuildView
from ...errors import StoreError
from ...keys import log_key
from ..steplogs import StepLog, logs_of, path_of

# what a page has of a log: its last lines, and of these at most so many characters
_LINES, _CHARACTERS = 3000, 400_000
# a log in the bucket is read this far: bytes
_LONGEST = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One log, as plain text."""

    name: str
    text: str
    left_out: int
    """lines before it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What there is. No parts: `missing` says why."""

    parts: tuple[Part, ...]
    key: str = ""
    """in the bucket, where it is whole"""
    missing: str = ""


async def build_log(master: BuildMaster, bucket: Bucket, seen: BuildView, url: str) -> Log:
    """url: of the build in Buildbot; empty if there is none."""
    if seen.entry is not None and not seen.is_live:
        key = log_key(seen.entry.manifest)
        text = await threads.deferToThread(_published, bucket, key)
        if text:
            return Log(parts=(_part("build", text),), key=key)
    parts = await _steps(master, url)
    if parts:
        return Log(parts=parts)
    return Log(
        parts=(), missing="not started yet" if seen.is_live else "no log is kept of it any more, or there was none"
    )


async def started_at(master: BuildMaster, url: str) -> float:
    """When a build started, in seconds since the epoch; 0 if that is not known."""
    path = path_of(url)
    found = await master.data.get(path) if path else None
    return found["started_at"].timestamp() if found and found["started_at"] else 0.0


def _published(bucket: Bucket, key: str) -> str:
    """In a thread. Empty where there is none: logs are not kept for ever (`retention`)."""
    try:
        data = bucket.get(key)
        if data is None:
            return ""
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            return reader.read(_LONGEST).decode(errors="replace")
    except (StoreError, zstandard.ZstdError):
        return ""


async def _steps(master: BuildMaster, url: str) -> tuple[Part, ...]:
    path = path_of(url)
    if not path or await master.data.get(path) is None:
        return ()
    return tuple([await _of_step(master, log) for log in await logs_of(master, path) if log.lines])


async def _of_step(master: BuildMaster, log: StepLog) -> Part:
    first = max(0, log.lines - _LINES)
    text = await master.db.logs.getLogLines(log.identity, first, log.lines)
    if log.has_streams:
        text = "\n".join(line[1:] for line in text.splitlines())
    name = log.step if log.name == "stdio" else f"{log.step}: {log.name}"
    part = _part(name, text)
    return Part(name=part.name, text=part.text, left_out=part.left_out + first)


def _part(name: str, text: str) -> Part:
    shown, left_out = last_lines(plain_text(text), lines=_LINES, characters=_CHARACTERS)
    return Part(name=name, text=shown, left_out=left_out)
