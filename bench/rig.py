"""The surroundings of one run: servers, a table, a queue, workers, and what they published."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import redis

from bench.accounting import listens
from bench.errors import BenchError
from bench.event_ids import event_id
from bench.peers import graphile_worker
from bench.processes import PATIENCE_SECONDS, POLL_SECONDS, listening, process
from cli.embedded import free_port, servers
from db.loading import NewEvent, load_events
from db.migrate import migrate
from settle_client.names import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.contenders import Contender
    from bench.processes import Process

OTHER_EVENTS = """
INSERT INTO events (id, account_id, event_type, payload, created_at)
SELECT 'other_' || n, 'acct_1', 'order.created', '{}', now() FROM generate_series(1, %s) n
"""


class Running(NamedTuple):
    """The processes of a contender: its workers, and who watches them."""

    workers: list[Process]
    flowers: list[Process]


class Rig:
    """Servers that are the benchmark's own."""

    def __init__(self, database_url: str, broker_url: str, rabbitmq_url: str = "") -> None:
        self.database_url, self.broker_url = database_url, broker_url
        self.rabbitmq_url = rabbitmq_url
        self.redis: Any = redis.Redis.from_url(broker_url, decode_responses=True)

    def reset(self, events: int, *, rows: int = 0, account: str = "acct_1") -> None:
        """Begin with an empty broker and so many pending events, and others up to `rows`."""
        self.redis.flushdb()
        graphile_worker.drop(self.database_url)
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute("TRUNCATE events")
            connection.execute(OTHER_EVENTS, [rows - events])
        load_events(self.database_url, (NewEvent(event_id(n), account) for n in range(events)))

    def queue_url(self, contender: Contender) -> str:
        """Return the broker that a contender's messages are sent to."""
        return self.rabbitmq_url if contender.on_rabbitmq else self.broker_url

    @contextmanager
    def workers(self, contender: Contender) -> Iterator[Running]:
        """Run a contender's processes while the `with` block lasts."""
        with ExitStack() as stack:
            url = self.queue_url(contender)
            if contender.late_seconds:
                url = stack.enter_context(late(url, contender.late_seconds))
            environment = {
                **os.environ,
                "CELERY_BROKER_URL": url,
                "SETTLE_OUTCOME_URL": self.broker_url,
                "DATABASE_URL": self.database_url,
                "C_FORCE_ROOT": "1",
                **(graphile_worker.statements() if contender.in_postgresql else {}),
                **contender.settings,
            }
            flowers = [stack.enter_context(flower(environment))] if contender.watched else []
            commands = contender.commands()
            yield Running(
                [stack.enter_context(process(command, environment)) for command in commands],
                flowers,
            )

    def published(self) -> int:
        """Return how many outcomes there have been; the oldest are trimmed."""
        if not self.redis.exists(OUTCOMES):
            return 0
        stream = self.redis.xinfo_stream(OUTCOMES)
        # Redis 6.2 does not count them.
        return int(stream.get("entries-added", stream["length"]))

    def parts(self, contender: Contender, running: Running) -> dict[str, list[int]]:
        """Return the processes of each part of a run."""
        parts = {
            "worker": [worker.pid for worker in running.workers],
            "Flower": [one.pid for one in running.flowers],
            "PostgreSQL": listens(self.database_url),
            "Redis": listens(self.broker_url),
        }
        if contender.on_rabbitmq:
            parts["RabbitMQ"] = listens(self.rabbitmq_url)
        return parts

    def wait(
        self,
        outcomes: int,
        running: Running,
        note: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Wait until there are so many outcomes.

        Args:
            outcomes: How many.
            running: Who publishes them.
            note: Is told now and then how many there are.

        Raises:
            BenchError: They do not come; says why, if a worker has ended.
        """
        seen, at = -1, time.monotonic()
        while (count := self.published()) < outcomes:
            note(count)
            if count != seen:
                seen, at = count, time.monotonic()
            short = f"only {count:,} of {outcomes:,} outcomes came"
            for worker in running.workers:
                if worker.poll() is not None:
                    raise BenchError(f"{short}, then a worker ended: {worker.last_words()}")
            if time.monotonic() - at > PATIENCE_SECONDS:
                raise BenchError(f"{short}, and none in the last {PATIENCE_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)

    def moment(self, nth: int) -> float:
        """Return when the n-th outcome was published, by the server's clock."""
        after = self.published() - nth
        # From the nearer end: a stream can be a million long.
        if after < nth:
            entries = self.redis.xrevrange(OUTCOMES, count=after + 1)
        else:
            entries = self.redis.xrange(OUTCOMES, count=nth)
        return int(entries[-1][0].partition("-")[0]) / 1000

    def settled(self) -> int:
        """Return how many events are settled."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT count(*) FROM events WHERE settled_by IS NOT NULL")
            return int((row.fetchone() or (0,))[0])


@contextmanager
def flower(environment: dict[str, str]) -> Iterator[Process]:
    """Run a Flower while the `with` block lasts, from when it listens on."""
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "worker", "flower"]
    options = ["--address=127.0.0.1", f"--port={port}", "--logging=error"]
    with listening([*command, *options], environment, port) as running:
        yield running


@contextmanager
def late(url: str, seconds: float) -> Iterator[str]:
    """Return the URL of the same server, farther away."""
    port = url.rpartition(":")[2].partition("/")[0]
    command = [sys.executable, "-m", "bench.link", port, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as link:
        assert link.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield url.replace(f":{port}", f":{link.stdout.readline().strip()}")
        finally:
            link.kill()


@contextmanager
def rig(database_url: str = "", broker_url: str = "", rabbitmq_url: str = "") -> Iterator[Rig]:
    """Use given servers, which must be empty, or start some.

    Raises:
        BenchError: A given server holds something, which a run would remove.
    """
    with ExitStack() as stack:
        if not (database_url and broker_url):
            started = stack.enter_context(servers())
            database_url, broker_url = started.postgres.url, started.redis.url
        migrate(database_url)
        at = Rig(database_url, broker_url, rabbitmq_url)
        with psycopg.connect(database_url) as connection:
            if connection.execute("SELECT FROM events LIMIT 1").fetchone():
                raise BenchError("the database has events already: give it one of its own")
        if at.redis.dbsize():
            raise BenchError("the broker is not empty: give it one of its own")
        yield at
        at.redis.flushdb()
        graphile_worker.drop(database_url)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("TRUNCATE events")
