"""Every alert of deploy/prometheus/alerts.yml, raised by real faults in a real Prometheus.

The expressions are those that ship; only durations are divided: see `tests.prometheus`.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.faults.mishaps import EARLY_MISHAPS, MISHAPS
from tests.faults.watched_rig import WatchedRig
from tests.prometheus import QUICKER, RULES, quicker_expression

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.rig import Rig
    from tests.gateway import Gateways
    from tests.prometheus import Prometheus

pytestmark = pytest.mark.prometheus
(GROUP,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
# How far back the rules look whose counters may begin above zero: fifteen minutes.
RANGE_SECONDS = 15 * 60 / QUICKER
# A worker that starts on a busy machine takes longer than fifteen minutes divided by QUICKER.
LESS_QUICK = 20
# What a template that fails leaves behind, and a number that is none.
NOT_SAID = re.compile(r"<error|<no value>|%!|NaN|\{\{")


@pytest.fixture
def watched_rig(unloaded_rig: Rig, gateways: Gateways, prometheus: Prometheus) -> WatchedRig:
    """Give a rig whose workers and gateways are watched."""
    return WatchedRig(unloaded_rig, gateways, prometheus)


@pytest.mark.parametrize("name", [rule["alert"] for rule in GROUP["rules"]])
def test_an_alert_fires_under_its_fault_and_clears(watched_rig: WatchedRig, name: str) -> None:
    """Not before, and not for ever; and it says what it is about."""
    see(watched_rig, name, MISHAPS[name](watched_rig))


@pytest.mark.parametrize("prometheus", [LESS_QUICK], indirect=True)
@pytest.mark.parametrize("name", EARLY_MISHAPS)
def test_what_has_happened_before_the_first_scrape_counts(
    watched_rig: WatchedRig, name: str
) -> None:
    """A counter that begins above zero has risen, although nobody has seen it rise."""
    see(watched_rig, name, EARLY_MISHAPS[name](watched_rig))


def test_what_was_counted_long_before_the_first_scrape_does_not(watched_rig: WatchedRig) -> None:
    """Or all of it would come again whenever Prometheus begins, or was away."""
    prometheus = watched_rig.prometheus
    watched_rig.send(1, "done")
    watched_rig.start_worker(
        lambda metrics: (
            metrics["settle_dead_letters_total"] > 0
            and time.time() > metrics["process_start_time_seconds"] + RANGE_SECONDS
        )
    )
    (rule,) = (rule for rule in GROUP["rules"] if rule["alert"] == "SettleDeadLetters")
    watched_rig.wait_for(lambda: bool(prometheus.query("settle_dead_letters_total > 0")))
    assert prometheus.query(quicker_expression(rule["expr"])) == []


def see(watched_rig: WatchedRig, name: str, mishap: Iterator[None]) -> None:
    """Follow a mishap, and see an alert rise and go."""
    prometheus = watched_rig.prometheus
    next(mishap)
    watched_rig.wait_for(watched_rig.is_watched)
    watched_rig.wait_for(lambda: not prometheus.alert(name))
    next(mishap)
    watched_rig.wait_for(lambda: is_firing(prometheus.alert(name)))
    for alert in prometheus.alert(name):
        assert not NOT_SAID.search(str(alert["annotations"])), alert
    next(mishap, None)
    watched_rig.wait_for(lambda: not prometheus.alert(name))


def is_firing(alerts: list[dict[str, Any]]) -> bool:
    """Return whether one of them has been so for long enough."""
    return any(alert["state"] == "firing" for alert in alerts)
