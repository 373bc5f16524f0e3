"""The dashboard and the alerts ask for metrics and labels that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gateway import metrics as gateway
from webhooks import metrics as webhooks
from worker.telling.metrics import CATALOGUE, REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.catalogue import Metric

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "settle.json").read_text("utf-8"))
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

SERIES: dict[str, Metric] = {
    name: metric
    for metric in (*CATALOGUE, *gateway.CATALOGUE, *webhooks.CATALOGUE)
    for name in metric.series
}
OF_THE_PROCESS = {
    sample.name
    for family in REGISTRY.collect()
    for sample in family.samples
    if family.name.startswith("process_")
}
# What Prometheus adds to every series.
ADDED = {"instance", "job"}


def expressions() -> Iterator[Any]:
    """Give every query, by where it is asked."""
    for rule in ALERTS:
        yield pytest.param(rule["expr"], id=rule["alert"])
    for panel in PANELS:
        for target in panel["targets"]:
            yield pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")


def series_in(expression: str) -> list[str]:
    """Return the names of metrics in a query."""
    found: list[str] = re.findall(r"\b(?:settle|process)_\w+", expression)
    return found


@pytest.mark.parametrize("expression", list(expressions()))
def test_a_query_asks_for_what_there_is(expression: str) -> None:
    """By name, label and value; nobody would notice an alert on a name that is not there."""
    names = series_in(expression)
    assert names
    assert set(names) <= SERIES.keys() | OF_THE_PROCESS
    known = {name: values for n in names if n in SERIES for name, values in _labels(n).items()}
    for matchers in re.findall(r"\{(.*?)\}", expression):
        for label, value in re.findall(r'(\w+)\s*=~?\s*"(.*?)"', matchers):
            assert label in ADDED or set(value.split("|")) <= set(known[label])
    for labels in re.findall(r"\b(?:by|on)\s*\((.*?)\)", expression):
        assert {label.strip() for label in labels.split(",")} <= known.keys() | ADDED


def _labels(name: str) -> dict[str, tuple[str, ...]]:
    buckets: dict[str, tuple[str, ...]] = {"le": ()} if name.endswith("_bucket") else {}
    return SERIES[name].labels | buckets


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """How bad it is, what it is, and a line for whoever is woken by it."""
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "runbook"}
    labels = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
    names = [name for name in series_in(rule["expr"]) if name in SERIES]
    known = {label for name in names for label in _labels(name)}
    assert set(labels) <= known | ADDED


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_can_be_read(panel: dict[str, Any]) -> None:
    """It says what it shows, and its lines are named after labels that there are."""
    assert panel["description"]
    for target in panel["targets"]:
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        names = [name for name in series_in(target["expr"]) if name in SERIES]
        known = {label for name in names for label in _labels(name)}
        assert shown <= known | ADDED


def test_no_two_panels_are_in_the_same_place() -> None:
    """Nor have the same number."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
