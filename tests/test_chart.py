"""Where the lines and dots of a chart are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmodci.chart import HEIGHT, LEFT, RIGHT, WIDTH, arrival_chart, coverage_chart
from kmodci.coverage import Tally
from kmodci.model import Status
from kmodci.past import Arrival, PastTally

NOW = 1_700_000_000.0
DAY = 86_400.0


def counted(hours: float, built: int, failed: int = 0, module: str = "loop") -> PastTally:
    tally = Tally(counts={Status.BUILT: built, Status.FAILED: failed})
    return PastTally(when=NOW - 3600 * hours, module=module, tally=tally)


def took(seconds: float, ago: float = 0.0) -> Arrival:
    built = NOW - ago
    return Arrival(build_id="loop/debian-sid-amd64/6.1", kernel_version="1", appeared=built - seconds, built=built)


def points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, _, y in (each.partition(",") for each in text.split())]


def test_what_was_counted_holds_until_it_changes() -> None:
    chart = coverage_chart([counted(10, 1, 1), counted(6, 1, 1), counted(4, 2), counted(0, 2)], NOW)
    [line] = chart.lines
    across = points(line.points)
    assert [y for _, y in across] == [across[0][1]] * 2 + [across[-1][1]] * 2
    assert across[0][0] == LEFT and across[-1][0] == WIDTH - RIGHT and across[1][0] == across[2][0]
    # up is less
    assert across[0][1] > across[-1][1]
    assert line.last == "100.0 %" and "loop 50.0 % to 100.0 %" in chart.summary
    assert [tick.text for tick in chart.up] == ["0 %", "50 %", "100 %"]


def test_each_module_has_a_line() -> None:
    chart = coverage_chart([counted(3, 1), counted(3, 0, 1, "scap")], NOW)
    assert [line.name for line in chart.lines] == ["loop", "scap"]


def test_where_nothing_was_counted_that_is_said() -> None:
    assert coverage_chart([], NOW).is_empty and arrival_chart([], NOW).is_empty
    assert "no kernel" in arrival_chart([], NOW).summary.lower()


def test_the_slower_is_the_higher() -> None:
    chart = arrival_chart([took(30, 60), took(90, 30), took(7200)], NOW)
    heights = [dot.y for dot in chart.dots]
    assert heights == sorted(heights, reverse=True)
    assert [tick.text for tick in chart.up] == ["10s", "1m", "10m", "1h", "6h"]
    assert "half of them within 1m30s" in chart.summary and "slowest in 2h" in chart.summary
    assert chart.dots[-1].text == "loop/debian-sid-amd64/6.1: 2h"


@given(
    st.lists(st.tuples(st.floats(0, 300 * DAY), st.floats(0, 90 * DAY)), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=30),
)
def test_everything_is_inside(arrivals: list[tuple[float, float]], counts: list[tuple[int, int, int]]) -> None:
    past = [counted(hours, built, failed) for hours, built, failed in sorted(counts, reverse=True)]
    one, other = coverage_chart(past, NOW), arrival_chart([took(*each) for each in arrivals], NOW)
    inside = [point for line in one.lines for point in points(line.points)] + [(dot.x, dot.y) for dot in other.dots]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in inside)
    assert all(0 <= tick.at <= HEIGHT for tick in (*one.up, *other.up))
    assert len(other.up) >= 2


@pytest.mark.parametrize("span", [1.0, 30.0])
def test_a_short_time_is_told_by_the_hour_and_a_long_one_by_the_day(span: float) -> None:
    chart = coverage_chart([counted(24 * span, 1)], NOW)
    assert all((":" in tick.text) is (span < 2) for tick in chart.across)
