"""The list of metrics, and what a batch leaves in them."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli import reference
from gateway import metrics as gateway
from service.batching import Batch, Why
from service.catalogue import KINDS, Catalogue, Metric
from settle_client.update import StatusUpdate
from tests.items import fetched
from worker.job import Done
from worker.summary import Summary
from worker.telling import measuring, metrics
from worker.telling.metrics import CATALOGUE, REGISTRY
from worker.transport.delivery import Received
from worker.transport.delivery import sent_at as sent_at_of
from worker.transport.redis.items import headers_of

ROOT = Path(__file__).parents[3]


def value(name: str, **labels: str) -> float:
    """Return what a series stands at."""
    found = REGISTRY.get_sample_value(name, labels)
    assert found is not None, name
    return found


def test_the_page_of_the_metrics_is_current() -> None:
    """docs/metrics.md is what `settle config --metrics-reference` prints."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == reference.metrics()


@pytest.mark.parametrize("catalogue", [CATALOGUE, gateway.CATALOGUE], ids=["worker", "gateway"])
def test_the_list_is_what_is_exposed(catalogue: Catalogue) -> None:
    """Every metric is in it, with its labels, and every series is there from the start."""
    exposed: dict[str, set[str]] = {}
    for family in catalogue.registry.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                exposed.setdefault(sample.name, set()).update(sample.labels)
    names = {name for metric in catalogue for name in metric.series}
    assert {name for name in exposed if not name.startswith("process_")} == names
    for metric in catalogue:
        assert exposed[metric.series[0]] - {"le"} == set(metric.labels)


@pytest.mark.parametrize("metric", [*CATALOGUE, *gateway.CATALOGUE], ids=lambda metric: metric.name)
def test_names_say_what_is_counted(metric: Metric) -> None:
    """The prefix, `_total` for counters alone, base units, and a sentence."""
    assert re.fullmatch(r"settle(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"milli|micro|_ms|percent", metric.name)
    assert metric.says.endswith(".")


@pytest.mark.parametrize(
    "constant",
    [
        name
        for module in (metrics, gateway)
        for name, value in vars(module).items()
        if isinstance(value, KINDS)
    ],
)
def test_every_metric_has_one_writer(constant: str) -> None:
    """One module, so that it is clear what a number means."""
    writers = [
        str(path.relative_to(ROOT))
        for door in ("worker", "gateway")
        for path in (ROOT / door).rglob("*.py")
        if path.name != "metrics.py" and f"metrics.{constant}." in path.read_text("utf-8")
    ]
    assert len(writers) == 1, writers


def held(sent_at: Any = None, request: Any = None) -> Any:
    """Give a message of one update as it is held."""
    headers = {} if sent_at is None else {"sent_at": sent_at}
    item = json.dumps({"headers": headers, "body": "…"}).encode()
    return SimpleNamespace(
        message=(StatusUpdate(id="ev_1", status="completed"),),
        delivery=fetched(item),
        request=request,
    )


def settle(*items: Any, **reasons: int) -> None:
    """Report a batch."""
    batch = Batch(1, items, sum(reasons.values()), Why.SLOT, 0.25)
    done = Done(Summary(Counter(reasons), (), b""), {"applied": 0.5, "published": 1.5})
    measuring.settled(batch, done, 2.5)


def test_a_batch_is_counted_and_its_steps_are_timed() -> None:
    """Once each, in updates and in seconds."""
    names: list[tuple[str, dict[str, str]]] = [
        ("settle_updates_total", {"outcome": "updated"}),
        ("settle_updates_total", {"outcome": "invalid"}),
        ("settle_dead_letters_total", {}),
        ("settle_batches_total", {"why": "slot"}),
        ("settle_batch_updates_sum", {}),
        ("settle_batch_step_seconds_sum", {"step": "waiting"}),
        ("settle_batch_step_seconds_sum", {"step": "applying"}),
        ("settle_batch_step_seconds_sum", {"step": "publishing"}),
        ("settle_batch_step_seconds_sum", {"step": "acknowledging"}),
    ]
    before = [value(name, **labels) for name, labels in names]
    settle(held(), updated=5, invalid=2)
    after = [value(name, **labels) for name, labels in names]
    grown = [b - a for a, b in zip(before, after, strict=True)]
    assert grown == pytest.approx([5, 2, 2, 1, 7, 0.25, 0.5, 1.5, 2.5])


@pytest.mark.parametrize(
    ("first", "count"),
    [
        (held(time.time() - 60), 1),
        (held(), 0),
        (held("yesterday"), 0),
        (held(time.time() - 60, request=object()), 0),
    ],
    ids=["it says when", "it does not", "it makes no sense", "it was delayed"],
)
def test_the_first_message_of_a_batch_tells_the_latency(first: Any, count: int) -> None:
    """If its sender said when it was sent."""
    before = value("settle_latency_seconds_count")
    settle(first, held(time.time()), updated=2)
    assert value("settle_latency_seconds_count") - before == count


@pytest.mark.parametrize(
    "sent_at",
    [True, 0, -1, "1", [], 1e400, float("nan"), 10**400, None],
    ids=lambda value: repr(value)[:8],
)
def test_a_time_that_makes_no_sense_is_none(sent_at: Any) -> None:
    """Whichever way the message came."""
    assert sent_at_of({"sent_at": sent_at}) is None
    item = json.dumps({"headers": {"sent_at": sent_at}}).encode()
    assert sent_at_of(headers_of(item)) is None


@pytest.mark.parametrize("item", [b"", b"[]", b'{"headers": null}', b"\xff", b"[" * 100_000])
def test_an_item_that_is_no_message_has_no_time(item: bytes) -> None:
    """And does no harm."""
    assert sent_at_of(headers_of(item)) is None


def test_a_time_is_read_whichever_way_a_message_came() -> None:
    """Off the raw item, or off the headers that kombu has read."""
    item = b'{"body": "e30=", "headers": {"id": "1", "sent_at": 12.5}}'
    assert sent_at_of(fetched(item).headers()) == 12.5
    message = SimpleNamespace(headers={"sent_at": 12})
    assert sent_at_of(Received(message).headers()) == 12.0
