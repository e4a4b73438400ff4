"""Whether a farm works, judged from what was seen of its parts."""

import math
from dataclasses import replace

import pytest
from kmodci.board import Board
from kmodci.health import Vitals, problems
from kmodci.hostview import views
from kmodci.metrics import Figures, exposition
from kmodci.model import BuildId, Hold
from kmodci.past import Arrival
from kmodci.sourceview import SourceView
from kmodci.store import RepositoryState
from support.hosts import HOSTS, STATES

NOW = 1_800_000_000.0
FINE = {"database": "", "bucket": "", "engine": ""}
GOOD = Vitals(faults=FINE, planned=NOW - 60, board=NOW - 1, containers=2)


def source(name: str, *, ago: float, error: str = "", idle: str = "") -> SourceView:
    state = RepositoryState(name=name, last_ok=NOW - ago if ago else 0.0, last_try=NOW, error=error)
    return SourceView(name=name, is_module=False, state=state, idle=idle, listed=1, gone=0, modules=(), accepted="")


def hold(until: float) -> Hold:
    build_id = BuildId.parse("m/debian-bookworm-amd64/6.1.0-1-amd64")
    return Hold(build_id=build_id, key="k", reason="it failed", noted=NOW, tries=1, until=until)


def judged(vitals: Vitals, *, up: float = 100_000.0) -> tuple[str, ...]:
    return problems(vitals, interval=300.0, started=NOW - up, now=NOW)


def test_nothing_is_wrong() -> None:
    assert judged(replace(GOOD, sources=[source("a", ago=1700), source("b", ago=0, idle="out of scope")])) == ()


@pytest.mark.parametrize(
    ("vitals", "what"),
    [
        (replace(GOOD, faults={**FINE, "bucket": "it is away"}), "bucket: it is away"),
        (replace(GOOD, faults={"database": "", "bucket": ""}), "engine: not asked yet"),
        (replace(GOOD, shortage="3 MiB are free"), "disk: 3 MiB are free"),
        (replace(GOOD, planned=NOW - 3600), "scheduler: its last plan is"),
        (replace(GOOD, planned=0.0), "scheduler: there is none yet"),
        (replace(GOOD, board=NOW - 3600), "board: it is"),
        (replace(GOOD, sources=[source("a", ago=7200, error="a: no answer")]), "source a: not read for"),
        (replace(GOOD, sources=[source("a", ago=0)]), "source a: not read yet"),
    ],
)
def test_what_is_wrong_is_said(vitals: Vitals, what: str) -> None:
    [found] = judged(vitals)
    assert found.startswith(what)


def test_a_farm_that_has_just_been_started_is_given_time() -> None:
    """It was not there to read its sources."""
    fresh = replace(GOOD, planned=0.0, board=0.0, sources=[source("a", ago=100_000), source("b", ago=0)])
    assert judged(fresh, up=60.0) == ()
    assert len(judged(fresh, up=3600.0)) == 4


def test_the_time_to_modules_is_a_histogram() -> None:
    arrivals = {
        str(took): Arrival(build_id=str(took), kernel_version="1", appeared=NOW, built=NOW + took)
        for took in (10, 100, 1000, 1_000_000)
    }
    figures = Figures(
        board=Board(arrivals=arrivals),
        vitals=replace(GOOD, containers=None),
        problems=0,
        slots=2,
        images_missing=0,
        overdue=0,
        hosts=views(HOSTS, STATES, workers={"near": 4, "far": 8}, running={"near": 3}, images=frozenset()),
        holds={
            "a": hold(NOW + 60),
            "b": hold(math.inf),
            "c": hold(NOW - 1),
        },
        ended={"built": 7},
        requests={200: 3},
        now=NOW,
    )
    lines = exposition(figures).decode().splitlines()
    counted = {line.split('"')[1]: line.split()[-1] for line in lines if "to_module_seconds_bucket" in line}
    assert [counted[bound] for bound in ("30.0", "120.0", "1800.0", "172800.0", "+Inf")] == [
        "1.0",
        "2.0",
        "3.0",
        "3.0",
        "4.0",
    ]
    assert "kmodci_healthy 1.0" in lines and 'kmodci_api_answers_total{status="200"} 3.0' in lines
    assert "kmodci_board_age_seconds -1.0" in lines
    assert not any(line.startswith("kmodci_containers ") for line in lines)
    assert {'kmodci_host_up{host="near"} 1.0', 'kmodci_host_up{host="far"} 0.0'} <= set(lines)
    assert {'kmodci_holds{by="person"} 1.0', 'kmodci_holds{by="farm"} 1.0', "kmodci_waiting 0.0"} <= set(lines)
    assert 'kmodci_builds_ended_total{status="built"} 7.0' in lines
    assert 'kmodci_builds_ended_total{status="failed"} 0.0' in lines
    assert not any(line.startswith("kmodci_disk_free_bytes") for line in lines)
    assert {'kmodci_host_running{host="near"} 3.0', 'kmodci_host_workers{host="far"} 8.0'} <= set(lines)
