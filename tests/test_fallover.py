import pytest
from kmodci.fallover import FallOver

A, B, C = "http://a.example.org/debian", "http://b.example.org/debian", "https://c.example.org/d"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fallover(clock: Clock) -> FallOver:
    return FallOver([(A, f"{B}/", C)], clock=clock)


def test_the_first_is_asked_first(fallover: FallOver) -> None:
    assert fallover.order([A, B, C]) == (A, B, C)
    assert fallover.faults([A, B, C]) == ()


def test_what_failed_is_asked_last_for_a_while_that_grows(fallover: FallOver, clock: Clock) -> None:
    for pause in (300, 600, 1200, 2400, 3600, 3600):
        fallover.failed(A, "timed out")
        clock.now += pause - 1
        assert fallover.order([A, B]) == (B, A)
        assert fallover.faults([A, B]) == ("timed out",)
        clock.now += 1
        assert fallover.order([A, B]) == (A, B)
        assert fallover.faults([A, B]) == ()
    fallover.answered(A)
    fallover.failed(A, "timed out")
    clock.now += 300
    assert fallover.order([A, B]) == (A, B)


def test_of_those_that_failed_the_one_that_has_waited_longest_is_asked_first(fallover: FallOver, clock: Clock) -> None:
    for mirror in (C, B, A):
        fallover.failed(mirror, f"{mirror}: refused")
        clock.now += 1
    assert fallover.order([A, B, C]) == (C, B, A)
    assert fallover.faults([A, B, C]) == tuple(f"{mirror}: refused" for mirror in (A, B, C))


def test_what_is_wrong_with_one_repository_says_nothing_of_others(fallover: FallOver) -> None:
    fallover.failed(A, "not signed", "sid main")
    assert fallover.order([A, B], "sid main") == (B, A)
    assert fallover.order([A, B], "trixie main") == (A, B)
    assert fallover.order([A, B]) == (A, B)
    fallover.answered(A, "trixie main")
    assert fallover.faults([A, B], "sid main") == ("not signed",)
    fallover.answered(A, "sid main")
    assert fallover.faults([A, B], "sid main") == ()


def test_a_mirror_that_does_not_answer_is_asked_last_for_every_repository(fallover: FallOver) -> None:
    fallover.failed(f"{A}/", "refused")
    assert fallover.order([A, B], "sid main") == (B, A)
    fallover.answered(A, "sid main")
    assert fallover.order([A, B], "trixie main") == (A, B)


def test_the_same_file_elsewhere(fallover: FallOver) -> None:
    urls = tuple(f"{mirror}/pool/x.deb" for mirror in (A, B, C))
    assert fallover.urls(urls[0]) == urls
    assert fallover.urls(urls[1]) == (urls[1], urls[0], urls[2])
    fallover.failed(A, "refused")
    assert fallover.urls(urls[0]) == (urls[1], urls[2], urls[0])


@pytest.mark.parametrize("url", [f"{A}-security/x.deb", "http://elsewhere.example.org/x.deb", A])
def test_what_is_of_no_mirror_is_where_it_is(fallover: FallOver, url: str) -> None:
    assert fallover.urls(url) == (url,)
    assert fallover.mirror_of(url) == ""


def test_a_mirror_in_two_groups() -> None:
    fallover = FallOver([(A, C), (B, A)])
    assert fallover.urls(f"{A}/x") == (f"{A}/x", f"{C}/x", f"{B}/x")
    assert fallover.mirror_of(f"{C}/x") == C
