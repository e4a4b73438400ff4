import threading
from collections.abc import Iterator

from kmodci.checkup.rounds import Check, make_round
from kmodci.errors import StoreError
from kmodci.findings import Finding, Level, Report, good


def check(where: str, *findings: Finding, fault: Exception | None = None) -> Check:
    def look() -> Iterator[Finding]:
        yield from findings
        if fault:
            raise fault

    return Check(part="x", where=where, look=look)


def test_each_is_told_in_its_order_however_it_ends() -> None:
    told: list[tuple[str, int]] = []
    reports = make_round(
        [
            check("well", good("fine")),
            check("away", fault=StoreError("no bucket\nand more of it", hint="start it")),
            check("broken", fault=ZeroDivisionError("oh\nno")),
            check("nothing"),
        ],
        lambda report, left: told.append((report.where, left)),
    )
    assert [each.where for each in reports] == ["well", "away", "broken", "nothing"]
    assert [each.level for each in reports] == [Level.GOOD, Level.WRONG, Level.WRONG, Level.GOOD]
    assert reports[1].findings == (Finding(Level.WRONG, "no bucket", "start it"),)
    assert reports[2].findings[0].what == "this check broke: ZeroDivisionError: oh"
    assert {where for where, _ in told} == {"well", "away", "broken", "nothing"}
    assert [left for _, left in told] == [3, 2, 1, 0]


def test_one_that_hangs_takes_none_down_and_is_not_waited_for() -> None:
    end = threading.Event()

    def hang() -> Iterator[Finding]:
        end.wait(60)
        yield good("at last")

    try:
        hung = Check(part="x", where="hangs", look=hang, seconds=0.05)
        reports = make_round([hung, check("well", good("fine"))])
    finally:
        end.set()
    assert [each.level for each in reports] == [Level.WRONG, Level.GOOD]
    assert reports[0].findings[0].what == "no answer within 0 s"


def test_they_look_side_by_side() -> None:
    together = threading.Barrier(3, timeout=30)

    def meet() -> Iterator[Finding]:
        together.wait()
        yield good("met")

    checks = [Check(part="x", where=str(n), look=meet) for n in range(3)]
    assert [each.level for each in make_round(checks)] == [Level.GOOD] * 3


def test_nothing_to_look_at() -> None:
    assert make_round([]) == ()
    assert Report(part="x", where="y", findings=()).level is Level.GOOD
