"""How often who may ask, how much of it at once, and who that is."""

from ipaddress import ip_network

import pytest
from kmodci.ratelimit import Limiter, Quota, asker


def test_a_burst_then_the_rate() -> None:
    limiter = Limiter(2, 3)
    assert [limiter.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert limiter.take("b", 0.0) == 0
    assert limiter.take("a", 0.5) == 0
    assert limiter.take("a", 0.5) == 0.5
    # who waits gathers no more than a burst
    assert [limiter.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_who_is_refused_pays_nothing_and_a_clock_that_goes_back_gives_nothing() -> None:
    limiter = Limiter(1, 1)
    assert limiter.take("a", 10.0) == 0
    assert [limiter.take("a", 10.5) for _ in range(3)] == [0.5, 0.5, 0.5]
    assert limiter.take("a", 9.0) > 0
    assert limiter.take("a", 11.0) == 0


def test_what_costs_more_counts_as_more() -> None:
    limiter = Limiter(1, 3)
    assert limiter.take("a", 0.0) == 0
    limiter.charge("a", 2)
    assert limiter.take("a", 0.0) == 1
    assert limiter.take("a", 1.0) == 0
    # never more than a burst, or one answer would shut somebody out
    limiter.charge("a", 1000)
    assert limiter.take("a", 1.0) == 4
    limiter.charge("nobody", 5)
    assert len(limiter) == 1


def test_memory_is_bounded_and_who_asked_last_is_remembered() -> None:
    limiter = Limiter(1, 1, most=10)
    for number in range(1000):
        limiter.take("always", 0.0)
        limiter.take(f"once {number}", 0.0)
    assert len(limiter) == 10
    assert limiter.take("always", 0.0) > 0


def test_a_quota_is_of_what_is_open() -> None:
    quota, is_open = Quota(2), {"a", "b"}

    def take(who: str, what: str) -> bool:
        taken = quota.take(who, what, is_open.__contains__)
        if taken:
            quota.settle(who, what, is_open=True)
        return taken

    assert [take("x", name) for name in ("a", "b", "c", "a")] == [True, True, False, True]
    assert take("y", "c")
    is_open.remove("a")
    assert take("x", "c")


def test_what_is_about_to_be_opened_counts_before_anybody_knows_of_it() -> None:
    quota, is_open = Quota(2), set[str]()
    taken = [quota.take("x", name, is_open.__contains__) for name in ("a", "b", "c", "a")]
    assert taken == [True, True, False, True]
    # one of the two that ask for `a` fails, and the other is still under way
    quota.settle("x", "a", is_open=False)
    assert not quota.take("x", "c", is_open.__contains__)
    quota.settle("x", "a", is_open=False)
    assert quota.take("x", "c", is_open.__contains__)
    is_open.add("b")
    quota.settle("x", "b", is_open=True)
    quota.settle("x", "c", is_open=False)
    assert [quota.take("x", name, is_open.__contains__) for name in ("d", "e")] == [True, False]


def test_what_was_there_before_counts_however_much_it_is() -> None:
    quota = Quota(1)
    for name in ("a", "b"):
        quota.note("x", name)
    assert not quota.take("x", "c", {"b"}.__contains__)
    assert quota.take("x", "c", set().__contains__)


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        ("192.0.2.7", "", "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.5, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "made up", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, made up", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", ",".join(["10.0.0.3"] * 1000), "10.0.0.3"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::7", "", "2001:db8:1:2::/64"),
        ("/run/socket", "198.51.100.1", "unknown"),
    ],
)
def test_who_asks(peer: str, forwarded: str, who: str) -> None:
    assert asker(peer, forwarded, (ip_network("10.0.0.0/8"),)) == who
