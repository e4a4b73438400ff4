"""When a repository is believed; `test_watch` asks real ones."""

from dataclasses import replace

import pytest
from kmodci.doubt import LOOKS, Doubt, Doubted, doubted, emptied, interrupted
from kmodci.model import Kernel
from support.kernels import kernels

APART = 100.0


@pytest.fixture
def listed() -> list[Kernel]:
    """Kernels of one series on two architectures."""
    return [kernel for kernel in kernels() if kernel.target.series == "bookworm"]


def of(listed: list[Kernel], arch: str) -> list[Kernel]:
    return [kernel for kernel in listed if kernel.target.arch == arch]


def test_what_is_odd_is_that_all_is_gone_at_once(listed: list[Kernel]) -> None:
    asked = {kernel.target for kernel in listed}
    amd64, arm64 = of(listed, "amd64"), of(listed, "arm64")
    assert emptied(listed, [], asked) == f"it lists no kernel, and had {len(listed)}"
    assert emptied(listed, amd64, asked) == f"it lists no kernel of debian-bookworm-arm64, and had {len(arm64)}"
    # a point release
    assert emptied(listed, [amd64[0], arm64[0]], asked) == ""
    assert emptied(listed, listed, asked) == ""


def test_what_is_not_odd(listed: list[Kernel]) -> None:
    asked = {kernel.target for kernel in listed}
    amd64 = of(listed, "amd64")
    assert emptied([], [], asked) == "", "it never had one"
    assert emptied([replace(kernel, gone=5.0) for kernel in listed], [], asked) == "", "that is known"
    assert emptied(listed, amd64, {amd64[0].target}) == "", "nobody has looked for the others"
    assert emptied(of(listed, "arm64"), [], {amd64[0].target}) == ""


def said(before: Doubt | None, what: str = "nothing", now: float = 0.0, content: str = "") -> Doubt:
    return doubted(before, what, content=content, now=now, apart=APART)


def test_looks_that_say_the_same_are_counted() -> None:
    doubt = said(None, now=1000.0)
    assert (doubt.what, doubt.since, doubt.looks, doubt.is_settled) == ("nothing", 1000.0, 1, False)
    for number in range(2, LOOKS + 1):
        before = doubt
        doubt = said(before, now=before.last + APART)
        assert (doubt.digest, doubt.since, doubt.looks) == (before.digest, 1000.0, number)
        assert doubt.is_settled == (number == LOOKS)


def test_another_answer_begins_anew() -> None:
    first = said(None, now=1000.0)
    for other in (said(first, "less", now=2000.0), said(first, content="other", now=2000.0)):
        assert (other.since, other.looks) == (2000.0, 1)
        assert other.digest != first.digest


def test_looks_that_are_close_to_each_other_are_one() -> None:
    first = said(None, now=1000.0)
    assert said(first, now=1000.0 + APART - 1) == first
    # the distance is to the last that counted, or looks that come often would never count
    assert said(said(first, now=1090.0), now=1000.0 + APART).looks == 2
    assert said(first, now=500.0).looks == 2, "the clock was set back"


def test_a_look_that_failed_begins_the_row_anew_and_not_the_doubt() -> None:
    before = said(said(None, now=1000.0), now=2000.0)
    after = interrupted(before)
    assert after and (after.digest, after.since, after.looks) == (before.digest, 1000.0, 0)
    again = said(after, now=2001.0)
    assert (again.looks, again.since) == (1, 1000.0)
    assert interrupted(None) is None


def test_what_to_type_is_said_as_a_shell_takes_it() -> None:
    assert "`kmodci accept 'sid main'`" in Doubted("sid main", said(None)).hint
    assert "`kmodci accept sid`" in Doubted("sid", said(None)).hint
