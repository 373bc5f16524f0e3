"""Servers that may be broken, and the accounting that every fault ends with."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from kombu.exceptions import OperationalError

from db.migrate import migrate
from tests.service import PATIENCE_SECONDS, Service
from worker.embedded import Postgres, Redis, Servers, ServerUnavailable, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Long enough for a renewal now and then, short enough to wait for in a test.
LEASE_SECONDS = "3"


@pytest.fixture
def own_servers() -> Iterator[Servers]:
    """Give servers of this test's own, which keep what they were given over a crash."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        try:
            postgres = stack.enter_context(Postgres(folder / "postgres", durable=True))
            broker = Redis(folder / "redis", append_only=True, append_fsync="always")
            yield Servers(postgres, stack.enter_context(broker))
        except ServerUnavailable as error:
            pytest.skip(str(error))


@pytest.fixture
def service(own_servers: Servers, tmp_path: Path) -> Iterator[Service]:
    """Give a service on servers that may be broken."""
    migrate(own_servers.postgres.url)
    urls = own_servers.postgres.url, own_servers.redis.url
    with closing(Service(*urls, tmp_path)) as service:
        yield service


class Load(threading.Thread):
    """A producer that goes on sending until told to stop, whatever happens to the broker.

    One message in ten carries ten updates, one update in five contradicts an
    earlier one, and one message in twenty is sent twice under its id. A message
    counts as sent once the broker has said so.
    """

    def __init__(self, service: Service, events: int, per_second: int) -> None:
        super().__init__(daemon=True)
        self.service, self.per_second = service, per_second
        self.unsent = [f"ev_{number:06}" for number in range(events)]
        service.load(*self.unsent)
        self.touched: list[str] = []
        self.random = random.Random(7)
        self.sent: dict[str, dict[str, str]] = {}
        self.stopping = threading.Event()

    def run(self) -> None:
        """Send."""
        while not self.stopping.wait(1 / self.per_second):
            message_id = f"m{len(self.sent):06}"
            updates = self._updates(10 if self._now_and_then(10) else 1)
            for _ in range(2 if self._now_and_then(20) else 1):
                self._send(message_id, updates)
            self.sent[message_id] = updates

    def _now_and_then(self, times: int) -> bool:
        return self.random.randrange(times) == 0

    def _updates(self, count: int) -> dict[str, str]:
        """Return some updates, status by event id."""
        updates = {}
        for _ in range(count):
            again = self.touched and self._now_and_then(5)
            id_ = self.random.choice(self.touched) if again else self.unsent.pop()
            updates[id_] = self.random.choice(["completed", "failed"])
            self.touched.append(id_)
        return updates

    def _send(self, message_id: str, updates: dict[str, str]) -> None:
        fields = [{"id": id_, "status": status} for id_, status in updates.items()]
        form = {"kwargs": fields[0]} if len(fields) == 1 else {"args": [fields]}
        while True:
            try:
                self.service.send(**form, task_id=message_id, ignore_result=True)
            except OperationalError:
                time.sleep(0.05)
            else:
                return

    def finish(self) -> None:
        """Stop sending, wait until the broker is empty, and account for everything."""
        self.stopping.set()
        self.join()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(self.backlog()):
            assert time.monotonic() < deadline, self.backlog()
            time.sleep(0.05)
        self.account()

    def backlog(self) -> tuple[int, ...]:
        """Return how many messages wait, are held, are indexed, are suspect."""
        redis = self.service.redis
        return (
            redis.llen("event-status-updates"),
            redis.hlen("unacked"),
            redis.zcard("unacked_index"),
            redis.llen("event-status-updates.retry"),
        )

    def account(self) -> None:
        """Check that nothing is lost and that nobody was told anything untrue."""
        told: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
        for _, fields in self.service.redis.xrange("event-outcomes"):
            outcome = json.loads(fields["outcome"])
            told[outcome["messageId"], outcome["id"]].append(outcome)
        assert self.service.redis.xlen("event-status-updates.dead") == 0
        sent = {
            (message_id, id_): status
            for message_id, updates in self.sent.items()
            for id_, status in updates.items()
        }
        lost = sent.keys() - told.keys()
        assert lost == set()
        rows = self.service.database.read_events([id_ for _, id_ in sent])
        winners: Counter[str] = Counter()
        for (message_id, id_), status in sent.items():
            first, *repeats = told[message_id, id_]
            assert all(repeat == first for repeat in repeats)
            row = rows[id_]
            if first["updated"]:
                winners[id_] += 1
                assert (row.settled_by, row.status) == (message_id, status)
            else:
                assert first["reason"] == f"already_{row.status}"
        assert winners == dict.fromkeys(rows, 1)


@pytest.fixture
def load(service: Service) -> Iterator[Load]:
    """Give a load that is on its way."""
    load = Load(service, events=40_000, per_second=300)
    load.start()
    yield load
    load.stopping.set()
    load.join()
