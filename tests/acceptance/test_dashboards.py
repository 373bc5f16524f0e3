"""Every query of the dashboards, asked of a Prometheus that scrapes real workers and a gateway."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import subprocess
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from settle_client.producer import Producer
from tests.gateway import Gateway, Gateways, completed, new_key
from tests.prometheus import FOLDER, RULES, Prometheus, quicker_expression, shorter
from tests.service import eventually
from tests.started import started
from tests.watching import Watched
from tests.webhooks import Receiver, Webhooks, endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.service import Service

pytestmark = pytest.mark.prometheus
DASHBOARDS = sorted((FOLDER.parent / "grafana" / "dashboards").glob("*.json"))
NUMBERS = itertools.count()
# Four scrapes, as Grafana has it, once it is divided as all ranges are.
RATE_INTERVAL = "4m"


def queries(dashboard: Path) -> Iterator[str]:
    """Give the queries of a dashboard, as Grafana asks them with every worker chosen."""
    for panel in json.loads(dashboard.read_text("utf-8"))["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
            yield quicker_expression(expression.replace("$instance", ".*"))


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    """Give one Prometheus to all tests of this module."""
    with started(Prometheus) as server:
        yield server


class Shop(NamedTuple):
    """A client of a gateway, with a key."""

    gateway: Gateway
    key: str


@pytest.fixture(scope="module")
def shop(
    lasting_service: Service, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """Let two workers and a gateway with keys be scraped, the gateway with a key of its own."""
    workers = [Watched(), Watched()]
    for watched in workers:
        lasting_service.start_worker(**watched.settings)
    prometheus.scrape("settle", *(watched.port for watched in workers))
    key, entry = new_key("shop", "--all-accounts")
    its_key, its_entry = new_key("prometheus", "--account", "none")
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    file.write_text(f"{entry}\n{its_entry}")
    with closing(Gateways(lasting_service)) as gateways:
        gateway = gateways.start(SETTLE_GATEWAY_KEYS_FILE=str(file))
        prometheus.use_key(its_key)
        prometheus.scrape("settle-gateway", gateway.port)
        with pushing(lasting_service, prometheus):
            yield Shop(gateway, key)


@contextmanager
def pushing(service: Service, prometheus: Prometheus) -> Iterator[None]:
    """Let outcomes be pushed to an endpoint."""
    watched = Watched()
    with Receiver() as receiver:
        one = endpoint("one", receiver.url())
        made = Webhooks(service.folder, service.users.webhooks, one, **watched.settings)
        with closing(made):
            made.start()
            prometheus.scrape("settle-webhooks", watched.port)
            yield


def work(service: Service, shop: Shop) -> None:
    """Let a worker and the gateway settle something, and refuse something."""
    names = [f"ev_{next(NUMBERS)}" for _ in range(4)]
    service.load(*names)
    with Producer(service.users.producer) as producer:
        for name in names[:3]:
            producer.send({"id": name, "status": "completed"})
    service.send(args=[[{"id": names[0], "status": "lost"}]], ignore_result=True)
    shop.gateway.patch(completed(names[3]), authorization=f"Bearer {shop.key}")


def test_every_query_returns_data(
    lasting_service: Service, shop: Shop, prometheus: Prometheus
) -> None:
    """While updates are settled: a number for each, and none that is not one."""
    missing = [query for dashboard in DASHBOARDS for query in queries(dashboard)]
    assert len(missing) > 20

    def are_answered() -> bool:
        work(lasting_service, shop)
        missing[:] = [query for query in missing if not has_numbers(prometheus.query(query))]
        return not missing

    eventually(are_answered, lambda: missing)


def has_numbers(found: list[dict[str, Any]]) -> bool:
    """Return whether there is something to draw."""
    return any(math.isfinite(float(series["value"][1])) for series in found)


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_every_worker_can_be_chosen(dashboard: Path, prometheus: Prometheus) -> None:
    """By what Grafana looks its names up with."""
    variables = json.loads(dashboard.read_text("utf-8"))["templating"]["list"]
    (query,) = (one["query"]["query"] for one in variables if one["type"] == "query")
    found = re.fullmatch(r"label_values\((\w+), (\w+)\)", query)
    assert found
    expression = f"count by ({found[2]}) ({found[1]})"
    eventually(lambda: len(prometheus.query(expression)) == 2)


@pytest.mark.usefixtures("shop")
def test_no_alert_is_raised_by_a_service_that_is_well(
    lasting_service: Service, prometheus: Prometheus
) -> None:
    """While it settles updates, one after the other."""
    service = lasting_service

    def is_calm() -> bool:
        id_ = f"ev_{next(NUMBERS)}"
        service.load(id_)
        sent = service.send(kwargs={"id": id_, "status": "completed"})
        service.wait({sent.id: [id_]})
        return not prometheus.query(f"ALERTS{shorter('[10m]')}")

    eventually(lambda: len(prometheus.query("up == 1")) == 4)
    eventually(is_calm, lambda: prometheus.query("ALERTS"))


def test_promtool_takes_what_ships(tmp_path: Path) -> None:
    """The scraping and the alerts as they are, durations and all, with the key that is drawn."""
    folder = shutil.copytree(FOLDER, tmp_path / "prometheus")
    (folder / "gateway.key").write_text("settle_KEY")
    ended = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    assert f"{len(group['rules'])} rules found" in ended.stdout
