"""What of the open runs is put into the queue, while builds end."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace

from kmodci.bot.filling import fill
from kmodci.bot.requests import FORCED
from kmodci.matrix import Planned, Why
from kmodci.runs import RunEntry
from support.boards import board

BOARD = board()
PLANNED = {
    name: Planned(entry=standing.entry, key=BOARD.keys[name], why=Why.NEW_KERNEL)
    for name, standing in list(BOARD.standings.items())[:3]
}
FIRST, SECOND, THIRD = PLANNED


class Queue(list[str]):
    """What was asked for; `ends` ends while something is asked for."""

    def __init__(self, *, ends: str = "", there: tuple[str, ...] = ()) -> None:
        super().__init__(there)
        self.ended: set[str] = set()
        self._ends = ends

    async def ask(self, name: str, builder: str, wanted: Mapping[str, object], why: str, *, priority: int = 0) -> bool:
        self.append(name)
        if self._ends:
            self.ended.add(self._ends)
        return True


def filled(
    *, whys: Mapping[str, Why] | None = None, ends: str = "", there: tuple[str, ...] = (), room: int = 8
) -> list[str]:
    """What is asked for, of three builds that are left of a run."""
    left = [
        RunEntry(build_id=p.entry.build_id, key=p.key, why=(whys or {}).get(name, p.why), chunk=0)
        for name, p in PLANNED.items()
    ]
    queue, prefetched = Queue(ends=ends, there=there), []
    asyncio.run(
        fill(
            SimpleNamespace(paths=SimpleNamespace(shortage=""), chunk_length=room),  # type: ignore[arg-type] # what is asked of a farm
            SimpleNamespace(missing_images=(), entries=[p.entry for p in PLANNED.values()]),  # type: ignore[arg-type] # of a plan
            PLANNED,
            SimpleNamespace(left=lambda: iter(left)),  # type: ignore[arg-type] # of a ledger
            queue,  # type: ignore[arg-type] # in the place of Buildbot's
            ended=queue.ended,
            prefetch=prefetched.append,
        )
    )
    asked = queue[len(there) :]
    assert prefetched == [PLANNED[name].entry.kernel for name in asked if not name.startswith(FORCED)]
    return asked


def test_what_is_left_is_asked_for_in_its_order() -> None:
    assert filled() == [FIRST, SECOND, THIRD]


def test_no_more_is_asked_for_than_there_is_room() -> None:
    assert filled(room=2) == [FIRST, SECOND]


def test_what_was_forced_and_lost_its_request_is_asked_for_again() -> None:
    assert filled(whys={SECOND: Why.FORCED}) == [FIRST, FORCED + SECOND, THIRD]


def test_what_ends_meanwhile_is_not_asked_for_once_more() -> None:
    """It is still left of its run, which is told at the next look; and what failed would be built again."""
    assert filled(ends=SECOND) == [FIRST, THIRD]
    assert filled(ends=SECOND, whys={SECOND: Why.FORCED}) == [FIRST, THIRD]


def test_what_somebody_has_asked_for_is_not_asked_for_twice() -> None:
    assert filled(there=(FORCED + SECOND,)) == [FIRST, THIRD]
