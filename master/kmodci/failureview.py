"""What is not built, for one cause each: what somebody looks at who wants it built. Decides, and does nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from .board import Board
from .coverage import Standing, causes
from .model import Status

ORDER = (Status.FAILED, Status.PENDING, Status.UNAVAILABLE, Status.SKIPPED)
"""what wants a person first"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A cause, and what it keeps from being built."""

    status: Status
    cause: str
    """`causes.group_name`"""
    builds: tuple[Standing, ...]
    """the newest kernel first"""
    kernels: int
    since: float
    """when the first of them ended so, in seconds since the epoch; 0 if none has ended"""
    sample: str
    """what one of them said, as it said it; empty if that is the cause itself"""
    modules: tuple[str, ...]


def failures(board: Board, module: str = "") -> tuple[Failure, ...]:
    """By status, and then those of the most builds first. module: only of this one."""
    chosen = [each for each in board.standings.values() if module in ("", each.entry.build_id.module)]
    found = [
        _failure(each.status, each.cause, [board.standings[name] for name in each.builds], board)
        for each in causes(chosen, board.waiting)
    ]
    return tuple(sorted(found, key=lambda each: (ORDER.index(each.status), -len(each.builds), each.cause)))


def _failure(status: Status, cause: str, builds: Sequence[Standing], board: Board) -> Failure:
    first = builds[0]
    said = board.waiting.get(str(first.entry.build_id), "") if status is Status.PENDING else first.cause
    ended = [each.outcome.finished for each in builds if each.outcome and each.outcome.status is status]
    return Failure(
        status=status,
        cause=cause,
        builds=tuple(builds),
        kernels=len({str(each.entry.kernel) for each in builds}),
        since=min(ended, default=0.0),
        sample=said if said != cause else "",
        modules=tuple(dict.fromkeys(each.entry.build_id.module for each in builds)),
    )
