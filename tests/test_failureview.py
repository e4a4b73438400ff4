"""What is not built, by cause."""

from dataclasses import replace

from kmodci.failureview import failures
from kmodci.model import Status
from support.boards import board

ERROR = "main.c:{line}:9: error: implicit declaration of function \u2018strlcpy\u2019; did you mean \u2018strn\u2019?"
GROUP = "implicit declaration of function `strlcpy`"


def names(count: int, module: str = "loop") -> list[str]:
    return [name for name in board(modules=(module,)).standings if "bookworm" in name][:count]


def test_equal_errors_are_one_group_and_the_largest_comes_first() -> None:
    first, *others = names(4)
    ended = {name: (Status.FAILED, ERROR.format(line=n)) for n, name in enumerate(others)}
    found = failures(board({first: (Status.FAILED, "other error"), **ended}))
    assert [(each.cause, len(each.builds), each.kernels) for each in found] == [(GROUP, 3, 3), ("other error", 1, 1)]
    assert found[0].sample == ERROR.format(line=0) and found[1].sample == ""
    assert [str(each.entry.build_id) for each in found[0].builds] == others
    assert found[0].modules == ("loop",)


def test_failures_come_before_what_is_only_left_out() -> None:
    failed, *others = names(6)
    found = failures(board({failed: (Status.FAILED, "error"), **dict.fromkeys(others, (Status.SKIPPED, "on purpose"))}))
    assert [(each.status, len(each.builds)) for each in found] == [(Status.FAILED, 1), (Status.SKIPPED, 5)]


def test_it_is_told_since_when() -> None:
    first, second = names(2)
    of = board({first: (Status.FAILED, "error"), second: (Status.FAILED, "error")}, finished=100.0)
    older = of.standings[second]
    assert older.outcome is not None
    earlier = replace(older, outcome=replace(older.outcome, finished=50.0))
    [found] = failures(replace(of, standings={**of.standings, second: earlier}))
    assert found.since == 50.0


def test_what_waits_for_more_than_its_turn_is_there_and_what_waits_for_that_is_not() -> None:
    name = names(1)[0]
    [found] = failures(board(waiting={name: "no image for gcc-12: no space left"}))
    assert (found.status, found.cause, found.since) == (Status.PENDING, "no image for gcc-12: no space left", 0.0)
    assert failures(board()) == () and failures(board(Status.BUILT)) == ()


def test_a_module_can_be_chosen_and_kernels_are_counted_once() -> None:
    first = names(1)[0]
    both = {first: (Status.FAILED, "error"), first.replace("loop", "scap"): (Status.FAILED, "error")}
    of = board(both, modules=("loop", "scap"))
    [found] = failures(of)
    assert (len(found.builds), found.kernels, found.modules) == (2, 1, ("loop", "scap"))
    [found] = failures(of, "scap")
    assert [str(each.entry.build_id) for each in found.builds] == [first.replace("loop", "scap")]
