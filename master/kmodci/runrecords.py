"""What is written of a run into the bucket, below `state/runs/<id>/`: the plan, each chunk's end, the sum."""

from collections.abc import Mapping, Sequence

from .manifest import Record
from .matrix import Why
from .runs import Ending, Run, RunEntry, Totals, totals


class PlannedBuild(Record):
    """One build of the plan."""

    build_id: str
    key: str
    """names its inputs"""
    why: Why
    chunk: int


class MatrixRecord(Record):
    """`matrix.json`: all that a run will do. Written before anything starts."""

    format: int = 1
    id: str
    started: float
    """seconds since the epoch"""
    whys: Mapping[Why, int]
    builds: tuple[PlannedBuild, ...]


class EndedBuild(Record):
    """How one build ended."""

    build_id: str
    ending: Ending
    cause: str
    finished: float
    seconds: float
    build_url: str


class ChunkRecord(Record):
    """`chunk-000.json`: which builds it covered, and how they ended. Written once, when all have."""

    format: int = 1
    id: str
    chunk: int
    endings: Mapping[Ending, int]
    builds: tuple[EndedBuild, ...]


class SummaryRecord(Record):
    """`summary.json`: the run, added up. Written last."""

    format: int = 1
    id: str
    started: float
    finished: float
    cancelled: str
    """by whom; empty if by nobody"""
    planned: int
    endings: Mapping[Ending, int]
    """they add up to `planned`"""
    chunks: int
    seconds: float
    """wall time of all builds, one after the other"""
    make_seconds: float
    """CPU time of the bare make of all builds"""


def matrix_record(run: Run, entries: Sequence[RunEntry]) -> MatrixRecord:
    """The plan of a run."""
    whys: dict[Why, int] = {}
    for each in entries:
        whys[each.why] = whys.get(each.why, 0) + 1
    builds = tuple(
        PlannedBuild(build_id=str(each.build_id), key=each.key, why=each.why, chunk=each.chunk) for each in entries
    )
    return MatrixRecord(id=run.id, started=run.started, whys=whys, builds=builds)


def chunk_record(run: Run, chunk: int, entries: Sequence[RunEntry]) -> ChunkRecord:
    """A chunk of which every entry has ended."""
    builds = tuple(
        EndedBuild(
            build_id=str(each.build_id),
            ending=each.ending,
            cause=each.cause,
            finished=each.finished,
            seconds=each.seconds,
            build_url=each.build_url,
        )
        for each in entries
        if each.ending is not None
    )
    return ChunkRecord(id=run.id, chunk=chunk, endings=totals(entries).endings, builds=builds)


def summary_record(run: Run, entries: Sequence[RunEntry]) -> SummaryRecord:
    """A run of which every entry has ended."""
    found: Totals = totals(entries)
    return SummaryRecord(
        id=run.id,
        started=run.started,
        finished=run.finished,
        cancelled=run.cancelled,
        planned=found.planned,
        endings=found.endings,
        chunks=1 + max((each.chunk for each in entries), default=-1),
        seconds=found.seconds,
        make_seconds=found.make_seconds,
    )
