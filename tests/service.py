"""The service as the outside world sees it, for the rings that run real workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu import pools

from cli.embedded import dies_with_parent
from db import Database
from db.loading import NewEvent, load_events
from settle_client.names import CLUSTER_PREFIX, QUEUE
from settle_client.outcomes import OutcomeClient
from settle_client.redis_server import names_cluster, open_client
from tests.accounts import RedisUrls

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from settle_client.outcome import Outcome
    from tests.rabbitmq import RabbitMQ
    from tests.rabbitmq_cluster import Cluster

PATIENCE_SECONDS = 60
WAITING_FOR_ROWS = """
SELECT pid FROM pg_stat_activity WHERE application_name = 'settle' AND wait_event_type = 'Lock'
"""


def eventually(holds: Callable[[], bool], state: Callable[[], object] = lambda: "") -> None:
    """Wait until something holds, and tell how it stands if it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, state()
        time.sleep(0.02)


class LoggedProcess:
    """A process of ours, and what it writes."""

    def __init__(
        self, log: Path, environment: dict[str, str], *command: str, folder: str = ""
    ) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*dies_with_parent("KILL"), *command],
                env=environment,
                cwd=folder or None,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def wait_for_log(self, text: str) -> None:
        """Wait until it has written a text."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.log.read_text(errors="replace"):
            assert self.process.poll() is None, self.log.read_text(errors="replace")
            assert time.monotonic() < deadline, self.log.read_text(errors="replace")
            time.sleep(0.02)

    def stop(self) -> int:
        """Tell it to stop, wait until it has, and return its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """End it however it stands."""
        self.process.kill()
        self.process.wait()


class Worker(LoggedProcess):
    """A `celery -A worker worker` process."""

    def __init__(
        self,
        log: Path,
        environment: dict[str, str],
        *options: str,
        python: str = sys.executable,
        module: str = "celery",
        app: str = "worker",
        folder: str = "",
    ) -> None:
        command = (python, "-m", module, "-A", app, "worker", "--loglevel", "INFO")
        super().__init__(log, environment, *command, *options, folder=folder)


class Service:
    """The service as the outside world sees it: a broker, a table, a result channel."""

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        folder: Path,
        *,
        outcome_url: str = "",
        worker_database_url: str = "",
        users: RedisUrls | None = None,
        rabbitmq: RabbitMQ | Cluster | None = None,
    ) -> None:
        """Connect everybody with the same URLs, unless they have users of their own.

        `database`, `redis` and `channel` are the test's own way in.
        """
        self.database_url, self.redis_url, self.folder = database_url, redis_url, folder
        self.outcome_url = outcome_url or redis_url
        self.users = users = users or RedisUrls(*[redis_url] * len(RedisUrls._fields))
        self.environment = {
            "DATABASE_URL": worker_database_url or database_url,
            "CELERY_BROKER_URL": users.worker,
            "SETTLE_OUTCOME_URL": outcome_url or users.worker,
        }
        self.rabbitmq = rabbitmq
        producer, backend = users.producer, users.producer
        if rabbitmq is not None:
            producer = self.environment["CELERY_BROKER_URL"] = rabbitmq.url
        if names_cluster(redis_url):
            # Celery knows no cluster: nobody asks for results there.
            backend = "redis://"
        self.database = Database(database_url)
        self.outcomes = OutcomeClient(outcome_url or users.consumer)
        # A busy machine is no failure.
        patient: dict[str, Any] = {"decode_responses": True, "socket_timeout": PATIENCE_SECONDS}
        queue = CLUSTER_PREFIX + QUEUE
        self.redis: Any = open_client(redis_url, asynchronous=False, key=queue, **patient)
        self.channel: Any = open_client(self.outcome_url, asynchronous=False, **patient)
        self.producer = Celery(broker=producer, backend=backend, set_as_current=False)
        if rabbitmq is not None:
            # What docs/messages.md asks of a producer.
            self.producer.conf.task_create_missing_queue_type = "quorum"
            self.producer.conf.broker_transport_options = {"confirm_publish": True}
        self.operator = Celery(broker=users.operator, set_as_current=False)
        self.workers: list[Worker] = []
        # A worker that mingles waits a second for the others' answers first.
        self.worker_options: tuple[str, ...] = ("--without-mingle",)

    def start_worker(
        self,
        *options: str,
        python: str = sys.executable,
        module: str = "celery",
        app: str = "worker",
        folder: str = "",
        **settings: str,
    ) -> Worker:
        """Start a worker and wait until it is ready."""
        number = len(self.workers)
        environment = {
            **os.environ,
            **self.environment,
            "C_FORCE_ROOT": "1",
            **settings,
        }
        options = ("--hostname", f"w{number}@%h", *self.worker_options, *options)
        log = self.folder / f"worker-{number}.log"
        how = {"python": python, "module": module, "app": app, "folder": folder}
        worker = Worker(log, environment, *options, **how)
        self.workers.append(worker)
        worker.wait_for_log(" ready.")
        return worker

    def load(self, *ids: str, account: str = "acct_1") -> None:
        """Load pending events."""
        load_events(self.database_url, [NewEvent(id_, account, payload={"a": 1}) for id_ in ids])

    def empty(self) -> None:
        """Forget all events, messages and outcomes."""
        with self.database.engine.begin() as owner:
            owner.exec_driver_sql("TRUNCATE events")
        for key in self.redis.scan_iter():
            # What kombu has declared, it does not declare again.
            if not key.startswith("_kombu."):
                self.redis.delete(key)

    def send(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Send a message as any Celery client does."""
        return self.producer.send_task(
            "events.update_status",
            args=args,
            kwargs=kwargs,
            queue="event-status-updates",
            **options,
        )

    def wait(self, messages: Mapping[str, Collection[str]]) -> dict[str, list[Outcome]]:
        """Return the outcomes of messages, by message id."""
        by_message = defaultdict(list)
        for outcome in self.outcomes.wait(messages, timeout_seconds=PATIENCE_SECONDS):
            by_message[outcome.message_id or ""].append(outcome)
        return by_message

    def waiting_for_rows(self) -> list[int]:
        """Return the sessions, by their processes, that wait for a row that somebody holds."""
        with self.database.engine.connect() as owner:
            return list(owner.exec_driver_sql(WAITING_FOR_ROWS).scalars())

    def check_is_settling(self) -> None:
        """Check that more outcomes come."""
        before = self.channel.xlen("event-outcomes")
        eventually(lambda: self.channel.xlen("event-outcomes") > before)

    def wait_until_empty(self) -> None:
        """Wait until the broker holds nothing, fetched or not."""
        eventually(lambda: not self._waiting_or_held())

    def _waiting_or_held(self) -> bool:
        if self.rabbitmq is not None:
            return bool(self.rabbitmq.waiting_or_held())
        # At one moment: a message may be on its way from one to the other.
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.llen("event-status-updates")
            pipe.hlen("event-status-updates.unacked")
            pipe.zcard("event-status-updates.delayed")
            return any(pipe.execute())

    def close(self) -> None:
        """Stop everything."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.kill()
        # A result that nobody refers to any more would unsubscribe, wherever its server is then.
        results = self.producer.backend.result_consumer
        results.stop()
        results.subscribed_to.clear()
        self.producer.close()
        self.operator.close()
        # Shared by all of a process, also if somebody killed their connections.
        pools.reset()
        self.outcomes.close()
        self.database.close()
        self.redis.close()
        self.channel.close()
