"""What docs/ has for Prometheus and Grafana names what the farm really exports, and is what these can read."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kmodci.hostview import views
from kmodci.metrics import Figures, exposition
from kmodci.past import Arrival
from prometheus_client.parser import text_string_to_metric_families
from support.boards import board
from support.hosts import HOSTS, STATES

from .test_health import GOOD, NOW, source

DOCS = Path(__file__).parents[1] / "docs"
DASHBOARD: dict[str, Any] = json.loads((DOCS / "grafana-dashboard.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
RULES: list[dict[str, Any]] = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"][0]["rules"]
_NAME = re.compile(r"\b(?:kmodci|process)_[a-z_]+\b")
_OWN = re.compile(r"\{\{ *(?:\$labels\.)?([a-z_]+) *\}\}")
# what Prometheus itself adds to what it scrapes
ADDED = {"instance", "job"}


def exported() -> dict[str, set[str]]:
    """The labels of each series, by its name, of a farm that has something of everything."""
    arrival = Arrival(build_id="a", kernel_version="1", appeared=NOW, built=NOW + 5)
    figures = Figures(
        board=replace(board(), arrivals={"a": arrival}),
        vitals=replace(GOOD, sources=[source("a", ago=5)], free=1),
        problems=0,
        slots=2,
        images_missing=0,
        overdue=0,
        hosts=views(HOSTS, STATES, workers={}, running={}, images=frozenset()),
        requests={200: 1},
        now=NOW,
    )
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exposition(figures).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


EXPORTED = exported()


def expressions() -> list[tuple[str, str]]:
    """Of panels and of rules, each with the words that are shown with it."""
    shown = [(each["expr"], each["legendFormat"]) for panel in SHOWN for each in panel["targets"]]
    return [*shown, *((rule["expr"], " ".join(rule["annotations"].values())) for rule in RULES)]


@pytest.mark.parametrize(("expression", "words"), expressions())
def test_each_expression_is_of_what_is_exported(expression: str, words: str) -> None:
    names = set(_NAME.findall(expression))
    assert names <= EXPORTED.keys()
    assert names or expression == 'up{job="kmodci"} == 0'
    there = set().union(*(EXPORTED[name] for name in names)) | ADDED
    inside = re.findall(r"([a-z_]+) *=~?", " ".join(re.findall(r"\{([^}]*)\}", expression)))
    grouped = [label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")]
    assert {*inside, *grouped, *_OWN.findall(words)} <= there
    # what a sum has lost cannot be shown with it
    if grouped:
        assert set(_OWN.findall(words)) <= set(grouped)


def test_all_that_is_exported_is_on_the_dashboard_and_in_the_documentation() -> None:
    own = {name for name in EXPORTED if name.startswith("kmodci_")}
    own = {re.sub(r"(to_module_seconds)_(bucket|count|sum)", r"\1", name) for name in own}
    own -= {name for name in own if name.endswith("_created")}
    table = (DOCS / "api.md").read_text().partition("| metric |")[2].partition("\n\n")[0]
    assert set(_NAME.findall(table)) - {"process_"} == own
    shown = {name.removesuffix("_bucket") for expression, _ in expressions() for name in _NAME.findall(expression)}
    assert own <= shown


def test_it_is_a_dashboard() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["uid"] and DASHBOARD["title"] == "kmodci"
    # an id of the database that it was made in would be somebody else's dashboard in another
    assert "id" not in DASHBOARD
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    [name] = _NAME.findall(variables["instance"]["definition"])
    assert name in EXPORTED
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids) >= 25
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for panel in SHOWN:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(each["datasource"] == panel["datasource"] for each in panel["targets"])
        assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])
        assert all('instance=~"$instance"' in each["expr"] for each in panel["targets"])


def test_no_panel_covers_another_or_leaves_the_page() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    assert all(at["x"] >= 0 and at["x"] + at["w"] <= 24 and at["w"] > 0 and at["h"] > 0 for at in places)
    for one, two in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
        above = one["y"] + one["h"] <= two["y"] or two["y"] + two["h"] <= one["y"]
        assert beside or above


def test_rules_say_what_is_wrong_and_how_bad_it_is() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES) >= 10
    for rule in RULES:
        assert re.fullmatch("Kmodci[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch("[0-9]+[mh]", rule.get("for", "5m"))


def test_every_alarm_has_a_line_in_the_page_on_operating() -> None:
    page = (DOCS / "operating.md").read_text()
    assert {rule["alert"] for rule in RULES} == set(re.findall(r"`(Kmodci[A-Za-z]+)`", page))
