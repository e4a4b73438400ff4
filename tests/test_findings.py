"""What a doctor makes of what was seen."""

import pytest
from kmodci.findings import (
    FULL,
    Level,
    good,
    note,
    of_cache,
    of_certificate,
    of_clock,
    of_disk,
    of_image,
    of_pins,
    of_sandbox,
    worst,
    wrong,
)

DAY = 86400.0
CLOSED = {
    "uid": "65534", "net": "lo", "caps": "0000000000000000", "nnp": "1", "seccomp": "2", "memory": "1024", "pids": "64",
    "root": "read-only", "build": "writable", "socket": "none", "end": "yes",
}  # fmt: skip


def test_the_worst_is_told() -> None:
    assert worst([]) is Level.GOOD
    assert worst([Level.GOOD, Level.NOTE]) is Level.NOTE
    assert worst([Level.GOOD, Level.WRONG, Level.NOTE]) is Level.WRONG


@pytest.mark.parametrize(
    ("left", "level", "words"),
    [
        (90 * DAY, Level.GOOD, "it is good for 90d more"),
        (29 * DAY, Level.NOTE, "it is good for 29d more"),
        (2 * DAY, Level.WRONG, "it is good for 2d more"),
        (-3 * DAY, Level.WRONG, "it has expired 3d ago"),
    ],
)
def test_a_certificate_is_told_of_before_it_expires(left: float, level: Level, words: str) -> None:
    found = of_certificate("it", 1e9 + left, 1e9, renew="renew it")
    assert (found.level, found.what) == (level, words)
    assert found.advice == ("" if level is Level.GOOD else "renew it")


@pytest.mark.parametrize(
    ("theirs", "level", "words"),
    [
        (1000.0, Level.GOOD, "as this machine's"),
        # a second that has just begun, and two that a slow answer took
        (999.1, Level.GOOD, "as this machine's"),
        (990.0, Level.NOTE, "9s behind"),
        (1013.0, Level.NOTE, "10s ahead of"),
        (400.0, Level.WRONG, "9m behind"),
        (1000.0 + 3 * 3600, Level.WRONG, "2h ahead of"),
    ],
)
def test_clocks_are_compared_by_what_an_answer_may_have_taken(theirs: float, level: Level, words: str) -> None:
    found = of_clock("x", theirs, 1000.0, 1002.0)
    assert found.level is level
    assert words in found.what
    assert bool(found.advice) == (level is not Level.GOOD)


@pytest.mark.parametrize(
    ("free", "files", "free_files", "level"),
    [
        (50 << 30, 1000, 900, Level.GOOD),
        # a file system without inodes, as btrfs
        (50 << 30, 0, 0, Level.GOOD),
        (1 << 30, 1000, 900, Level.NOTE),
        (50 << 30, 1000, 50, Level.NOTE),
        (50 << 30, 1000, 5, Level.WRONG),
        (FULL - 1, 1000, 900, Level.WRONG),
    ],
)
def test_a_disk_is_full_by_bytes_or_by_inodes(free: int, files: int, free_files: int, level: Level) -> None:
    assert of_disk("it", free=free, files=files, free_files=free_files).level is level


def test_a_disk_is_full_where_the_farm_says_so() -> None:
    from kmodci import paths

    assert paths._RESERVE == FULL


def test_a_cache_may_be_somewhat_larger_than_its_limit() -> None:
    assert of_cache("headers", 150, 100).level is Level.GOOD
    assert of_cache("headers", 250, 100).level is Level.NOTE


def test_a_sandbox_that_is_closed() -> None:
    assert [each.level for each in of_sandbox(CLOSED, memory=1024, processes=64)] == [Level.GOOD]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"uid": "0"}, "runs as user 0"),
        ({"net": "eth0 lo"}, "has a network: eth0 lo"),
        ({"caps": "00000000a80425fb"}, "has capabilities"),
        ({"nnp": "0"}, "may gain privileges"),
        ({"root": "writable"}, "root can be written to"),
        ({"build": "read-only"}, "cannot write to /build"),
        ({"socket": "there"}, "sees a Docker socket"),
        ({"memory": "max"}, "limit of memory is max, and not 1024"),
        ({"pids": ""}, "limit of processes is unknown, and not 64"),
    ],
)
def test_each_promise_of_a_sandbox_that_is_not_kept(seen: dict[str, str], words: str) -> None:
    found = of_sandbox({**CLOSED, **seen}, memory=1024, processes=64)
    [told] = found
    assert told.level is Level.WRONG
    assert words in told.what
    assert told.advice


def test_what_a_sandbox_did_not_say_is_no_promise_kept() -> None:
    without = {name: value for name, value in CLOSED.items() if name not in ("caps", "nnp", "net")}
    assert [each.level for each in of_sandbox(without, memory=1024, processes=64)] == [Level.WRONG] * 3
    assert [each.level for each in of_sandbox({}, memory=1024, processes=64)] == [Level.WRONG]
    assert of_sandbox({**CLOSED, "seccomp": "0"}, memory=1024, processes=64)[0].level is Level.NOTE


def test_where_an_image_is() -> None:
    def image(on: list[str], in_bucket: bool | None, *, lacks: str = "") -> Level:
        return of_image("x:1", on=on, in_bucket=in_bucket, lacks=lacks).level

    assert image(["a"], True) is image([], True) is image(["a"], None) is image([], False) is Level.GOOD
    assert image(["a"], False) is Level.NOTE
    assert image([], False, lacks="apt-get install x") is Level.WRONG
    assert of_image("x:1", on=[], in_bucket=None, lacks="apt-get install x").advice == "apt-get install x"


def test_packages_are_those_that_were_tested() -> None:
    pins = {"a": "1", "b": "2", "c": "3", "d": "4"}
    assert of_pins(pins, pins) == (good("4 Python packages, each as pinned"),)
    [other] = of_pins(pins, {**pins, "b": "3"})
    assert (other.level, other.what) == (Level.NOTE, "b 3, not 2")
    [lacking] = of_pins(pins, {})
    assert (lacking.level, lacking.what) == (
        Level.WRONG, "a is missing; b is missing; c is missing and 1 more"
    )  # fmt: skip


def test_short_words() -> None:
    assert (note("x").level, wrong("x", "y").advice) == (Level.NOTE, "y")
