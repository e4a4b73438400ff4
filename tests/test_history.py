"""What has been: kernels that appeared, how long their modules took, how coverage went."""

from dataclasses import replace

import pytest
from kmodci.coverage import Tally
from kmodci.history import HOUR, History
from kmodci.model import Outcome, Status
from kmodci.store import Store
from support.boards import board, outcome

BOARD = board()
NAME, STANDING = next(iter(BOARD.standings.items()))
KERNEL = STANDING.entry.kernel


@pytest.fixture
def history(database_url: str) -> History:
    store = Store(database_url)
    store.create()
    return History(store)


def built(finished: float, version: str = KERNEL.version) -> Outcome:
    made = outcome(STANDING.entry, "key", Status.BUILT, finished=finished)
    return replace(made, kernel_version=version)


def test_how_long_a_module_took_is_counted_from_when_its_kernel_appeared(history: History) -> None:
    history.appeared([KERNEL], 100.0)
    history.built(built(160.0))
    history.built(built(900.0))
    [arrival] = history.arrivals()
    assert (arrival.build_id, arrival.took) == (NAME, 60.0), "the first build counts, and no rebuild"
    assert history.appearances() == {(str(KERNEL), KERNEL.version): 100.0}
    assert history.arrivals(since=161.0) == ()


def test_new_packages_of_a_kernel_are_an_arrival_of_their_own(history: History) -> None:
    history.appeared([KERNEL], 100.0)
    history.built(built(160.0))
    history.appeared([replace(KERNEL, version="9")], 1000.0)
    history.built(built(1005.0, "9"))
    assert [each.took for each in history.arrivals()] == [60.0, 5.0]


def test_of_a_kernel_that_was_always_there_nobody_knows(history: History) -> None:
    history.built(built(160.0))
    assert history.arrivals() == ()


def test_a_mirror_whose_clock_is_ahead_took_no_negative_time(history: History) -> None:
    history.appeared([KERNEL], 170.0)
    history.built(built(160.0))
    assert [each.took for each in history.arrivals()] == [0.0]


def test_of_an_hour_the_last_tally_counts(history: History) -> None:
    for now, count in ((HOUR + 1, 1), (HOUR + 1800, 2), (2 * HOUR, 3)):
        history.note_tallies({"loop": Tally(counts={Status.BUILT: count})}, now)
    found = history.tallies()
    assert [(each.when, each.tally[Status.BUILT]) for each in found] == [(HOUR, 2), (2 * HOUR, 3)]
    assert [each.when for each in history.tallies(since=1.5 * HOUR)] == [2 * HOUR]


def test_what_is_old_is_forgotten_and_does_not_come_back(history: History) -> None:
    history.appeared([KERNEL], 100.0)
    history.built(built(160.0))
    history.note_tallies({"loop": Tally(counts={})}, 100.0)
    history.forget(before=1000.0)
    history.built(built(2000.0))
    assert (history.arrivals(), history.tallies(), history.appearances()) == ((), (), {})
