"""Servers that may be broken, with workers between them: what a storm strikes at."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import redis
from redis.exceptions import RedisError

from cli.embedded import Postgres, Redis, temporary_folder
from db.migrate import migrate
from tests.faults.contenders import SETTLE, Contender
from tests.faults.load import Load
from tests.rabbitmq_cluster import Cluster
from tests.service import Service, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faults.network import Link
    from tests.rabbitmq import RabbitMQ

    Servers = tuple[Postgres, Redis, Redis]

END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
# With no outcome for this long, a worker is stuck.
STUCK_SECONDS = 45.0
# With no change at the broker for this long, three times anybody's visibility timeout.
HOPELESS_SECONDS = 30.0


class Rig:
    """A broker, a database and a result channel of their own, a load, and some workers."""

    def __init__(self, servers: Servers, service: Service, contender: Contender) -> None:
        self.postgres, self.broker, self.outcomes = servers
        self.service, self.contender = service, contender
        self.links: list[Link] = []
        self.settings: dict[str, str] = {}
        self.options: tuple[str, ...] = ()
        self.workers: list[Worker] = []
        self.load: Load
        self.stuck = 0
        self._had_orphans = False
        # Each returns what somebody else misses in the end, in words.
        self.claims: list[Callable[[], list[str]]] = []
        self.at_end = ExitStack()

    def start_load(self, events: int, per_second: int) -> None:
        """Start sending."""
        self.load = Load(self.service, events, per_second)
        self.load.start()
        self.at_end.callback(self.load.stop)

    def start_worker(self, *, module: str = "celery", **settings: str) -> Worker:
        """Start one more worker."""
        settings = {**self.contender.settings, **self._urls(), **self.settings, **settings}
        contender = self.contender
        worker = self.service.start_worker(
            *self.options, python=contender.python(), module=module, app=contender.app, **settings
        )
        self.workers.append(worker)
        return worker

    def _urls(self) -> dict[str, str]:
        urls = {
            "DATABASE_URL": self.service.database_url,
            "CELERY_BROKER_URL": self.service.environment["CELERY_BROKER_URL"],
            "SETTLE_OUTCOME_URL": self.service.outcome_url,
        }
        for link in self.links:
            urls = {name: link.through(url) for name, url in urls.items()}
        return urls

    def replace(self, worker: Worker) -> None:
        """Kill a worker, if it lives, and start another in its place."""
        self.workers.remove(worker)
        worker.kill()
        self.start_worker()

    def recover(self, since: float) -> float:
        """Wait until outcomes come again, and return how many seconds that took.

        Workers that died, or do not wake up, are replaced as an operator would.

        Args:
            since: A point in time, of `time.time`, at which the strike was over.
        """
        deadline = since + STUCK_SECONDS
        while not self._answered_since(since):
            for worker in [w for w in self.workers if w.process.poll() is not None]:
                self.replace(worker)
            if time.time() > deadline:
                self.stuck += 1
                deadline += STUCK_SECONDS
                for worker in list(self.workers):
                    self.replace(worker)
            assert self.stuck < 100, "nothing helps"
            time.sleep(0.01)
        return time.time() - since

    def _answered_since(self, since: float) -> bool:
        with suppress(RedisError):
            newest = self.service.channel.xrevrange("event-outcomes", count=1)
            return bool(newest) and int(newest[0][0].partition("-")[0]) > since * 1000
        return False

    @contextmanager
    def frozen_database(self) -> Iterator[None]:
        """Let PostgreSQL not answer, and not break off either."""
        server = psutil.Process(self.postgres.pid)
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def drain(self) -> None:
        """Wait until the broker holds nothing, or as long as there is any hope."""
        seen: Any = None
        changed = time.monotonic()
        while any(backlog := self.backlog()):
            if backlog != seen:
                seen, changed = backlog, time.monotonic()
            if time.monotonic() - changed > HOPELESS_SECONDS:
                if not self._let_go_of_orphans():
                    return
                changed = time.monotonic()
            time.sleep(0.05)

    def _let_go_of_orphans(self) -> bool:
        """Do, once, what an operator has to where a cluster has orphans; return whether it has."""
        cluster = self.service.rabbitmq
        if self._had_orphans or not isinstance(cluster, Cluster):
            return False
        self._had_orphans = cluster.let_go_of_orphans()
        return self._had_orphans

    def backlog(self) -> tuple[int, ...]:
        """Return how many messages wait, are held, indexed, suspect, delayed, at one moment."""
        if self.service.rabbitmq is not None:
            return (self.service.rabbitmq.waiting_or_held(),)
        with self.service.redis.pipeline(transaction=True) as pipe:
            pipe.llen("event-status-updates")
            for prefix in ("event-status-updates.", ""):
                # Of ours, and of its contenders.
                pipe.hlen(f"{prefix}unacked")
                pipe.zcard(f"{prefix}unacked_index")
            pipe.llen("event-status-updates.retry")
            pipe.zcard("event-status-updates.delayed")
            return tuple(pipe.execute())


@contextmanager
def durable_servers() -> Iterator[Servers]:
    """Run a database, a broker and a result channel that keep what they have over a crash.

    Raises:
        ServerUnavailable: One of them cannot be started here.
    """
    with ExitStack() as stack:
        place = stack.enter_context(temporary_folder())
        postgres = stack.enter_context(Postgres(place / "postgres", durable=True))
        broker, outcomes = (
            stack.enter_context(Redis(place / name, append_only=True, append_fsync="always"))
            for name in ("broker", "outcomes")
        )
        migrate(postgres.url)
        yield postgres, broker, outcomes


def renew(servers: Servers) -> None:
    """Let servers be as if nobody had used them, however the last one has left them."""
    for server in servers:
        server.start()
    postgres, *others = servers
    with psycopg.connect(postgres.url, autocommit=True) as owner:
        owner.execute(END_SESSIONS)
        owner.execute("TRUNCATE events")
    for other in others:
        with redis.Redis.from_url(other.url) as client:
            client.flushall()


@contextmanager
def rig(
    servers: Servers,
    folder: Path,
    contender: Contender = SETTLE,
    rabbitmq: RabbitMQ | Cluster | None = None,
) -> Iterator[Rig]:
    """Give a rig.

    Args:
        servers: They are empty.
        folder: For logs.
        contender: Whose workers.
        rabbitmq: The broker, in place of a Redis.
    """
    postgres, broker, outcomes = servers
    service = Service(postgres.url, broker.url, folder, outcome_url=outcomes.url, rabbitmq=rabbitmq)
    with closing(service):
        rig = Rig(servers, service, contender)
        with rig.at_end:
            yield rig
