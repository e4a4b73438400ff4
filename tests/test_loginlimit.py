from kmodci.loginlimit import Pauses


def test_pauses_grow_and_have_an_end() -> None:
    pauses, now, waits = Pauses(longest=60), 0.0, []
    for _ in range(12):
        assert pauses.take("a", now) == 0
        wait = pauses.take("a", now)
        waits.append(wait)
        if not wait:
            continue
        now += wait
    # every other of the first three was taken by the second question
    assert [wait for wait in waits if wait] == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]


def test_a_thousand_at_once_are_a_thousand() -> None:
    pauses = Pauses(longest=60)
    assert sum(pauses.take("a", 5.0) == 0 for _ in range(1000)) == 3
    assert pauses.take("b", 5.0) == 0


def test_a_try_within_a_pause_makes_it_no_longer() -> None:
    pauses = Pauses(longest=60)
    for _ in range(3):
        pauses.take("a", 0)
    assert [pauses.take("a", 0.5) for _ in range(3)] == [0.5, 0.5, 0.5]
    assert pauses.take("a", 1) == 0


def test_who_comes_in_clears_nothing_that_was_tried_before() -> None:
    pauses = Pauses(longest=60)
    for _ in range(3):
        pauses.take("address", 0)
    pauses.take("address", 1)
    pauses.give_back("address")
    pauses.take("address", 1)
    assert pauses.take("address", 1) == 2, "as after the fourth"


def test_who_is_tried_and_comes_in_is_free_again() -> None:
    pauses = Pauses(longest=60)
    for _ in range(3):
        pauses.take("user", 0)
    pauses.forget("user")
    assert [pauses.take("user", 0) for _ in range(3)] == [0, 0, 0]


def test_it_is_forgotten_after_a_while() -> None:
    pauses = Pauses(longest=60)
    for _ in range(3):
        pauses.take("a", 0)
    assert [pauses.take("a", 5000) for _ in range(3)] == [0, 0, 0]


def test_memory_is_bounded() -> None:
    pauses = Pauses(longest=60, most=10)
    for number in range(1000):
        pauses.take(str(number), 0)
    assert len(pauses) == 10
