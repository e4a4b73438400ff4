"""The farm in numbers, as Prometheus reads them. So many series as targets x statuses, and sources."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from .board import RUNNING, Board
from .health import Vitals
from .hostview import HostView
from .model import Hold, Status
from .sourceview import Health

CONTENT_TYPE = CONTENT_TYPE_LATEST
TOOK = (30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10800.0, 43200.0, 172800.0)
"""seconds, from a kernel to its module"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is counted."""

    board: Board
    vitals: Vitals
    problems: int
    """why the farm is not healthy"""
    slots: int
    """builds at once"""
    images_missing: int
    overdue: int
    """what waits although nothing runs (`overdue`)"""
    hosts: Sequence[HostView] = ()
    holds: Mapping[str, Hold] = field(default_factory=dict)
    """why builds that are due are not asked for, by build id"""
    ended: Mapping[str, int] = field(default_factory=dict)
    """builds that have ended since the farm was opened, by status"""
    requests: dict[int, int]
    """answers of the API since the master's start, by status"""
    now: float


class _Farm(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        of = self._figures
        board = of.board
        yield _one("healthy", "1 if /healthz finds nothing wrong", not of.problems)
        yield _one("queue_length", "builds that wait for their turn", len(board.queue))
        yield _one("running", "builds that run", len(board.running))
        yield _one("slots", "builds that may run at once", of.slots)
        yield _one("images_missing", "toolchain images that builds wait for", of.images_missing)
        yield _one("overdue", "what waits although nothing runs", of.overdue)
        yield _one("kernels", "kernels that are known", len(board.kernels))
        yield _one("board_age_seconds", "age of what pages and API answer from", _age(board.made, of.now))
        yield _one("plan_age_seconds", "age of the last plan", _age(of.vitals.planned, of.now))
        if of.vitals.containers is not None:
            yield _one("containers", "containers that the farm has", of.vitals.containers)
        if of.vitals.free is not None:
            yield _one("disk_free_bytes", "of the disk of the farm's state", of.vitals.free)
        yield _one("waiting", "builds that wait for more than their turn", len(board.waiting))
        yield self._holds()
        yield from self._hosts()
        yield from self._builds()
        yield from self._sources()
        yield self._took()
        ended = CounterMetricFamily("kmodci_builds_ended", "builds that have ended since the start", labels=["status"])
        for each in Status:
            if each is not Status.PENDING:
                ended.add_metric([each], of.ended.get(each, 0))
        yield ended
        answers = CounterMetricFamily("kmodci_api_answers", "answers of the API since the start", labels=["status"])
        for status, count in sorted(of.requests.items()):
            answers.add_metric([str(status)], count)
        yield answers

    def _hosts(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("kmodci_host_up", "1 if the host answers", labels=["host"])
        running = GaugeMetricFamily("kmodci_host_running", "builds that run there", labels=["host"])
        workers = GaugeMetricFamily("kmodci_host_workers", "builds that may run there at once", labels=["host"])
        for each in self._figures.hosts:
            up.add_metric([each.host.name], not each.state.is_away)
            running.add_metric([each.host.name], each.running)
            workers.add_metric([each.host.name], each.workers)
        yield from (up, running, workers)

    def _holds(self) -> Metric:
        """A hold that has no end is a person's, who cancelled the build."""
        held = GaugeMetricFamily("kmodci_holds", "builds that are due and not asked for", labels=["by"])
        now = [hold for hold in self._figures.holds.values() if hold.until > self._figures.now]
        by_person = sum(hold.until == math.inf for hold in now)
        held.add_metric(["person"], by_person)
        held.add_metric(["farm"], len(now) - by_person)
        return held

    def _builds(self) -> Iterator[Metric]:
        found = GaugeMetricFamily("kmodci_builds", "builds of the matrix", labels=["target", "status"])
        board = self._figures.board
        counts = Counter((str(each.entry.kernel.target), board.state(name)) for name, each in board.standings.items())
        for target in sorted({target for target, _ in counts}):
            # also what is none: a series that comes and goes is no sum
            for status in (*Status, RUNNING):
                found.add_metric([target, str(status)], counts[target, status])
        yield found

    def _sources(self) -> Iterator[Metric]:
        age = GaugeMetricFamily("kmodci_source_age_seconds", "since the last good look", labels=["source"])
        failing = GaugeMetricFamily("kmodci_source_failing", "1 if the last look failed", labels=["source"])
        for each in self._figures.vitals.sources:
            if each.health is not Health.IDLE:
                age.add_metric([each.name], _age(each.state.last_ok, self._figures.now))
                failing.add_metric([each.name], each.health in (Health.FAILING, Health.DOUBTED))
        yield age
        yield failing

    def _took(self) -> Metric:
        took = sorted(each.took for each in self._figures.board.arrivals.values())
        buckets = [(str(bound), sum(1 for each in took if each <= bound)) for bound in TOOK]
        return HistogramMetricFamily(
            "kmodci_time_to_module_seconds",
            "from a kernel's publication to its module's, of those that appeared while the farm watched",
            buckets=[*buckets, ("+Inf", len(took))],
            sum_value=sum(took),
        )


def exposition(figures: Figures) -> bytes:
    """All of it, as text, with what the process itself uses."""
    registry = CollectorRegistry()
    registry.register(_Farm(figures))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _one(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"kmodci_{name}", what, value=float(value))


def _age(when: float, now: float) -> float:
    """Seconds; -1 for never."""
    return now - when if when else -1.0
