"""Small charts: where their lines, dots and ticks are, for a template to draw as SVG. Decides, and does nothing."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .past import Arrival, PastTally
from .quantities import duration_text

WIDTH, HEIGHT = 560, 180
LEFT, RIGHT = 58, 10
_TOP, _BOTTOM = 12, 28
_DAY = 86_400.0
# seconds that people count in
_DURATIONS = (1, 10, 60, 600, 3600, 6 * 3600, _DAY, 7 * _DAY, 30 * _DAY, 365 * _DAY)
# what lies closer than this is one dot
_DOTS = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    at: float
    """x or y"""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    name: str
    points: str
    """of an SVG polyline"""
    last: str
    """the newest value, in words"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Coordinates are in a box of WIDTH x HEIGHT, from its top left."""

    title: str
    summary: str
    """what it shows, in a sentence"""
    lines: tuple[Line, ...] = ()
    dots: tuple[Dot, ...] = ()
    across: tuple[Tick, ...] = ()
    up: tuple[Tick, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.lines and not self.dots


def coverage_chart(past: Iterable[PastTally], now: float) -> Chart:
    """How many percent of each module were built, hour by hour. now: seconds since the epoch."""
    by_module: dict[str, list[tuple[float, float]]] = {}
    for each in past:
        by_module.setdefault(each.module, []).append((each.when, each.tally.percent))
    title = "Coverage over time"
    if not by_module:
        return Chart(title=title, summary="Nothing was counted yet.")
    start = min(points[0][0] for points in by_module.values())
    across = _Across(start, now)
    lines = tuple(
        Line(
            name=module,
            points=" ".join(f"{across.x(when):.1f},{_y(percent / 100):.1f}" for when, percent in _held(points, now)),
            last=f"{points[-1][1]:.1f} %",
        )
        for module, points in by_module.items()
    )
    said = ", ".join(
        f"{line.name} {points[0][1]:.1f} % to {line.last}"
        for line, points in zip(lines, by_module.values(), strict=True)
    )
    return Chart(
        title=title,
        summary=f"Since {_day(start)}: {said}.",
        lines=lines,
        across=across.ticks(),
        up=tuple(Tick(at=_y(part / 100), text=f"{part} %") for part in (0, 50, 100)),
    )


def arrival_chart(arrivals: Sequence[Arrival], now: float) -> Chart:
    """How long each module took from its kernel's publication, when it was built. Its scale is logarithmic."""
    title = "Time to module"
    newest = sorted(arrivals, key=lambda each: each.built)[-_DOTS:]
    if not newest:
        return Chart(title=title, summary="No kernel has appeared since the farm watches.")
    took = sorted(each.took for each in newest)
    up = _Up(took[0], took[-1])
    across = _Across(newest[0].built, now)
    median, worst = took[len(took) // 2], took[-1]
    return Chart(
        title=title,
        summary=f"Since {_day(newest[0].built)}, {len(newest)} modules: half of them within {duration_text(median)}, "
        f"the slowest in {duration_text(worst)}.",
        dots=tuple(
            Dot(x=across.x(each.built), y=up.y(each.took), text=f"{each.build_id}: {duration_text(each.took)}")
            for each in newest
        ),
        across=across.ticks(),
        up=up.ticks(),
    )


def _held(points: Sequence[tuple[float, float]], now: float) -> list[tuple[float, float]]:
    """Steps: what was counted holds until the next count. Without those that change nothing."""
    found = [points[0]]
    for before, after in itertools.pairwise(points):
        if after[1] != before[1]:
            found += [(after[0], before[1]), after]
    return [*found, (max(now, points[-1][0]), points[-1][1])]


def _y(part: float) -> float:
    return _TOP + (1 - part) * (HEIGHT - _TOP - _BOTTOM)


class _Across:
    """Time, from left to right; at least an hour of it."""

    def __init__(self, start: float, end: float) -> None:
        self._start, self._end = min(start, end - 3600.0), end

    def x(self, when: float) -> float:
        part = (when - self._start) / (self._end - self._start)
        return LEFT + min(1.0, max(0.0, part)) * (WIDTH - LEFT - RIGHT)

    def ticks(self) -> tuple[Tick, ...]:
        is_short = self._end - self._start < 2 * _DAY
        times = [self._start + part * (self._end - self._start) for part in (0.0, 0.5, 1.0)]
        return tuple(Tick(at=self.x(when), text=_clock(when) if is_short else _day(when)) for when in times)


class _Up:
    """Durations, by their logarithm."""

    def __init__(self, least: float, most: float) -> None:
        below = [each for each in _DURATIONS if each <= max(1.0, least)]
        above = [each for each in _DURATIONS if each >= most]
        self._low, self._high = below[-1], above[0] if above else max(most, _DURATIONS[-1])
        if self._low == self._high:
            self._high = next((each for each in _DURATIONS if each > self._low), 2 * self._low)

    def y(self, seconds: float) -> float:
        low, high = math.log(self._low), math.log(self._high)
        return _y((math.log(max(seconds, self._low)) - low) / (high - low))

    def ticks(self) -> tuple[Tick, ...]:
        shown = [each for each in _DURATIONS if self._low <= each <= self._high]
        return tuple(Tick(at=self.y(each), text=duration_text(each)) for each in shown)


def table(past: Iterable[PastTally], *, most: int) -> tuple[tuple[str, Mapping[str, float]], ...]:
    """The chart's text: by day the last percentage of each module, the newest day first. most: days."""
    days: dict[str, dict[str, float]] = {}
    for each in past:
        days.setdefault(_day(each.when), {})[each.module] = each.tally.percent
    return tuple(sorted(days.items(), reverse=True)[:most])


def _day(when: float) -> str:
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d}"


def _clock(when: float) -> str:
    return f"{datetime.fromtimestamp(when, UTC):%d %b %H:%M}"
