"""The matrix, the kernels, the sources and the runs, in the words of the HTTP API."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from . import runview, sourceview
from .apianswers import (
    BuildsAnswer,
    CauseTold,
    Counts,
    CoverageAnswer,
    KernelsAnswer,
    KernelTold,
    RowTold,
    RunAnswer,
    RunsAnswer,
    SourcesAnswer,
    StandingTold,
)
from .apiasked import CountsQuery, CoverageQuery, KernelsQuery
from .board import Board
from .coverage import Standing, Tally, causes, coverage
from .errors import NotFound
from .matrix import newest_first
from .model import Status
from .release import version_key
from .runs import Run, RunEntry, Totals
from .runview import RunView
from .sourceview import SourceView


def check_version(board: Board, query: CoverageQuery) -> None:
    """Coverage is of what the sources are at. Raises NotFound for another version, with those that are published."""
    if query.version is None:
        return
    current = {name: each.version for name, each in sorted(board.versions.items()) if query.module in (None, name)}
    if query.version not in current.values():
        what = query.module or "any module"
        published = {version for name, version in board.published if query.module in (None, name)}
        there = ", ".join(sorted(published, key=version_key))
        raise NotFound(
            f"the source of {what} is not at version {query.version}",
            hint=f"coverage is of {', '.join(f'{name} {version}' for name, version in current.items()) or 'none yet'}; "
            f"published are versions {there or '(none)'}, which `POST builds` tells one by one",
        )


def chosen(board: Board, query: CoverageQuery) -> list[Standing]:
    """The builds that a query means, in the order of the matrix."""
    return [each for name, each in board.standings.items() if _is_meant(board, name, each, query)]


def coverage_told(board: Board, query: CountsQuery) -> CoverageAnswer:
    found = chosen(board, query)
    counted = coverage(found)
    return CoverageAnswer(
        whole=board.is_whole,
        made=board.made,
        counts=_counts(counted.tally),
        running=sum(str(each.entry.build_id) in board.running for each in found),
        rows=tuple(
            RowTold(module=row.module, target=row.target, flavour=row.flavour, gone=row.gone, counts=_counts(row.tally))
            for row in counted.rows
        ),
        causes=tuple(
            CauseTold(status=each.status.value, cause=each.cause, kernels=each.kernels, builds=each.builds)
            for each in causes(found, board.waiting)
        ),
        builds=tuple(_standing(board, each) for each in found) if query.builds else None,
    )


def builds_told(board: Board, query: CoverageQuery) -> BuildsAnswer:
    found = chosen(board, query)
    return BuildsAnswer(whole=board.is_whole, made=board.made, builds=tuple(_standing(board, each) for each in found))


def kernels_told(board: Board, query: KernelsQuery) -> KernelsAnswer:
    builds: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, each in board.standings.items():
        builds[str(each.entry.kernel)][each.entry.build_id.module] = board.state(name)
    wanted = (
        each for each in board.kernels.values() if query.takes(each.target) and query.release in (None, each.release)
    )
    return KernelsAnswer(
        whole=board.is_whole,
        kernels=tuple(
            KernelTold(
                distro=kernel.target.distro,
                series=kernel.target.series,
                arch=kernel.target.arch,
                release=kernel.release,
                version=kernel.version,
                flavour=kernel.flavour,
                toolchain=kernel.toolchain,
                repository=kernel.repository,
                gone=kernel.gone or None,
                appeared=board.appearances.get((str(kernel), kernel.version)),
                builds=builds.get(str(kernel), {}),  # type: ignore[arg-type] # checked as it is made
            )
            for kernel in newest_first(wanted)
        ),
    )


def sources_told(seen: Iterable[SourceView], now: float) -> SourcesAnswer:
    """now: seconds since the epoch."""
    return SourcesAnswer.model_validate({"sources": [sourceview.plain(each, now) for each in seen]})


def runs_told(runs: Sequence[Run], sums: dict[str, Totals]) -> RunsAnswer:
    return RunsAnswer.model_validate({"runs": [runview.plain(run, sums[run.id]) for run in runs]})


def run_told(seen: RunView, entries: Collection[RunEntry]) -> RunAnswer:
    return RunAnswer.model_validate(runview.plain_whole(seen, entries))


def _is_meant(board: Board, name: str, standing: Standing, query: CoverageQuery) -> bool:
    build = standing.entry.build_id
    return (
        query.module in (None, build.module)
        and query.takes(build.target)
        and (query.version is None or query.version == _version(board, build.module))
        and (query.status is None or query.status in (standing.status, board.state(name)))
    )


def _version(board: Board, module: str) -> str:
    """That its source is at; empty if that is not read."""
    known = board.versions.get(module)
    return known.version if known else ""


def _standing(board: Board, standing: Standing) -> StandingTold:
    entry, name = standing.entry, str(standing.entry.build_id)
    return StandingTold(
        build_id=name,
        status=board.state(name),  # type: ignore[arg-type] # checked as it is made
        cause=standing.cause or board.waiting.get(name, ""),
        flavour=entry.kernel.flavour,
        toolchain=entry.toolchain,
        version=_version(board, entry.build_id.module),
        finished=standing.outcome.finished if standing.outcome else None,
        published=board.entry(name) is not None,
        gone=entry.kernel.gone > 0,
    )


def _counts(tally: Tally) -> Counts:
    return Counts(
        **{str(status): tally[status] for status in Status},
        total=tally.total,
        percent=tally.percent,
    )
