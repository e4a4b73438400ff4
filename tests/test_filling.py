"""What of the open runs is put into the queue, while builds end."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace

from kmodci.bot.prefetch import Prefetch
from kmodci.bot.requests import FORCED
from kmodci.bot.schedulers import MatrixScheduler
from kmodci.matrix import Planned, Why
from kmodci.runs import RunEntry
from support.boards import board

BOARD = board()
PLANNED = {
    name: Planned(entry=standing.entry, key=BOARD.keys[name], why=Why.NEW_KERNEL)
    for name, standing in list(BOARD.standings.items())[:3]
}
FIRST, SECOND, THIRD = PLANNED


class Scheduler(MatrixScheduler):
    """One that nothing has started."""

    master = SimpleNamespace(  # type: ignore[assignment] # the part that is asked
        service_manager=SimpleNamespace(namedServices={Prefetch.name: SimpleNamespace(want=lambda kernel: None)})
    )

    def __init__(self) -> None:
        self._ended = set()


class Queue(list[str]):
    """What was asked for; `ends` ends while something is asked for."""

    def __init__(self, scheduler: MatrixScheduler, *, ends: str = "", there: tuple[str, ...] = ()) -> None:
        super().__init__(there)
        self._scheduler, self._ends = scheduler, ends

    async def ask(self, name: str, builder: str, wanted: Mapping[str, object], why: str, *, priority: int = 0) -> bool:
        self.append(name)
        if self._ends:
            self._scheduler._ended.add(self._ends)
        return True


def filled(*, whys: Mapping[str, Why] | None = None, **queue: object) -> list[str]:
    """What is asked for, of three builds that are left of a run."""
    left = [
        RunEntry(build_id=p.entry.build_id, key=p.key, why=(whys or {}).get(name, p.why), chunk=0)
        for name, p in PLANNED.items()
    ]
    scheduler = Scheduler()
    scheduler.farm = SimpleNamespace(paths=SimpleNamespace(shortage=""), chunk_length=8)
    scheduler.ledger = SimpleNamespace(left=lambda: iter(left))  # type: ignore[assignment] # the part that is asked
    scheduler._plan = SimpleNamespace(missing_images=(), entries=[p.entry for p in PLANNED.values()])  # type: ignore[assignment]
    scheduler._ready = dict(PLANNED)
    scheduler.requests = made = Queue(scheduler, **queue)  # type: ignore[arg-type,assignment]
    before = len(made)
    asyncio.run(scheduler._fill())
    return made[before:]


def test_what_is_left_is_asked_for_in_its_order() -> None:
    assert filled() == [FIRST, SECOND, THIRD]


def test_what_ends_meanwhile_is_not_asked_for_once_more() -> None:
    """It is still left of its run, which is told at the next look; and what failed would be built again."""
    assert filled(ends=SECOND) == [FIRST, THIRD]
    assert filled(ends=SECOND, whys={SECOND: Why.FORCED}) == [FIRST, THIRD]


def test_what_somebody_has_asked_for_is_not_asked_for_twice() -> None:
    assert filled(there=(FORCED + SECOND,)) == [FIRST, THIRD]
