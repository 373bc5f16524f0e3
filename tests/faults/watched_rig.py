"""A rig, with workers and gateways that a Prometheus watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from tests.faults.backlogs import item, one
from tests.faults.memory import push
from tests.service import PATIENCE_SECONDS, eventually
from tests.watching import Watched
from tests.webhooks import Webhooks

if TYPE_CHECKING:
    from tests.faults.rig import Rig
    from tests.gateway import Gateway, Gateways
    from tests.prometheus import Prometheus
    from tests.service import Worker

LOCKED = "ev_0"
# Says of a worker's metrics whether it is to be scraped for the first time.
Due = Callable[[Mapping[str, float]], bool]


def always(metrics: Mapping[str, float]) -> bool:
    """Let a worker be scraped at once."""
    return bool(metrics)


class WatchedRig:
    """What an alert is about."""

    def __init__(self, rig: Rig, gateways: Gateways, prometheus: Prometheus) -> None:
        self.rig, self.prometheus = rig, prometheus
        self._gateways = gateways
        self._ports: list[int] = []
        self._gateway_ports: list[int] = []
        self._webhooks_ports: list[int] = []
        # Done again and again until an alert is as it should be.
        self.meanwhile: Callable[[], object] = lambda: None

    def start_worker(
        self, is_due: Due = always, /, *, module: str = "celery", **settings: str
    ) -> Worker:
        """Start a worker, and let it be scraped.

        Args:
            is_due: When for the first time.
            module: Celery's, or one that changes something before it runs the same command.
            settings: In place of the rig's.
        """
        watched = Watched()
        worker = self.rig.start_worker(module=module, **watched.settings, **settings)
        eventually(lambda: is_due(watched.metrics()), watched.metrics)
        self._ports.append(watched.port)
        self.prometheus.scrape("settle", *self._ports)
        return worker

    def forget_workers(self) -> None:
        """Scrape none of those that were started: they are gone, and so are their addresses."""
        self._ports.clear()
        self.prometheus.scrape("settle")

    def start_gateway(self, **settings: str) -> Gateway:
        """Start a gateway, and let it alone be scraped."""
        gateway = self._gateways.start(**settings)
        self._gateway_ports = [gateway.port]
        self.prometheus.scrape("settle-gateway", gateway.port)
        return gateway

    def start_webhooks(self, *endpoints: str, **settings: str) -> Webhooks:
        """Start `settle webhooks` for some endpoints, and let it alone be scraped."""
        watched = Watched()
        folder, url = self.rig.service.folder, self.rig.outcomes.url
        webhooks = Webhooks(folder, url, *endpoints, **watched.settings, **settings)
        self.rig.at_end.callback(webhooks.close)
        webhooks.start()
        self._webhooks_ports = [watched.port]
        self.prometheus.scrape("settle-webhooks", *self._webhooks_ports)
        return webhooks

    def is_watched(self) -> bool:
        """Return whether everything that was started has been scraped."""
        ports = len(self._ports) + len(self._gateway_ports) + len(self._webhooks_ports)
        return len(self.prometheus.query("up == 1")) == ports

    def send(self, count: int, status: str = "completed", **headers: Any) -> None:
        """Send so many messages of an update of one event."""
        body = one() if status == "completed" else one().replace(b"completed", status.encode())
        push(self.rig, (item(body, **headers) for _ in range(count)))

    def send_as_if_old(self, count: int, age_seconds: float) -> None:
        """Send messages that say that they have been sent so long ago."""
        self.send(count, sent_at=time.time() - age_seconds)

    @contextmanager
    def held_rows(self) -> Iterator[None]:
        """Let somebody hold the rows that batches want."""
        with psycopg.connect(self.rig.service.database_url) as other:
            other.execute("SELECT FROM events FOR UPDATE")
            yield

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, and do what is done meanwhile."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, self.prometheus.query("ALERTS")
            self.meanwhile()
            time.sleep(0.1)
        self.meanwhile = lambda: None


Mishap = Callable[[WatchedRig], Iterator[None]]
