from kmodci.overdue import FLOOR, TIMES, overdue


def test_what_waits_too_long_while_nothing_runs_is_told_the_longest_first() -> None:
    found = overdue({"a": FLOOR - 1, "b": FLOOR + 1, "c": FLOOR + 9}, [], running=0)
    assert [each.name for each in found] == ["c", "b"]
    assert str(found[0]) == "c has waited 609 s while nothing runs (600 s is too long)"


def test_a_long_queue_is_no_fault_while_something_runs() -> None:
    assert overdue({"a": 100 * FLOOR}, [], running=1) == ()


def test_where_waits_are_long_they_may_be_long() -> None:
    usual = [1.0, 300.0, 10_000.0]
    assert overdue({"a": TIMES * 300.0}, usual, running=0) == ()
    [late] = overdue({"a": TIMES * 300.0 + 1}, usual, running=0)
    assert late.limit == TIMES * 300.0


def test_where_waits_are_short_the_limit_is_not() -> None:
    assert overdue({"a": FLOOR}, [0.1, 0.2], running=0) == ()
