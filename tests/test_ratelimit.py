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


def test_memory_is_bounded_and_who_asked_last_is_remembered() -> None:
    limiter = Limiter(1, 1, most=10)
    for number in range(1000):
        limiter.take("always", 0.0)
        limiter.take(f"once {number}", 0.0)
    assert len(limiter) == 10
    assert limiter.take("always", 0.0) > 0


def test_a_quota_is_of_what_is_open() -> None:
    quota, is_open = Quota(2), {"a", "b"}
    assert [quota.take("x", name, is_open.__contains__) for name in ("a", "b", "c", "a")] == [True, True, False, True]
    assert quota.take("y", "c", is_open.__contains__)
    is_open.remove("a")
    assert quota.take("x", "c", {"b", "c"}.__contains__)
    quota.drop("x", "c")
    quota.drop("nobody", "c")
    assert quota.take("x", "d", {"b", "d"}.__contains__)


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
