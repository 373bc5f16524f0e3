"""One process's way to the database and to the result channel.

Made once a process from the settings, when a thread of it first needs it: a forked
pool child must not share its parent's connections, and threads must share theirs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from db import Database
from db.replicas import Replica
from service.addresses import is_cluster
from service.fitness import Fitness
from service.settings import Settings, SettingsError, load_settings
from settle_client.errors import AddressError
from settle_client.names import DEAD_LETTERS, OUTCOMES
from settle_client.redis_server import open_client
from tasks.looking_up import were_applied
from tasks.publishing import DeadLetter, OutcomePublisher
from tasks.settle import Settled, dead_letters, settle, settle_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from settle_client.outcome import Outcome
    from tasks.messages import Message


@dataclass(frozen=True, slots=True)
class Service:
    """Settles batches and publishes what became of their updates."""

    database: Database
    fitness: Fitness
    publisher: OutcomePublisher
    message_max_updates: int
    outcome_payload: bool

    def apply(self, messages: Sequence[Message], *, others_succeed: bool = False) -> Settled:
        """Settle a batch, committed on return; see `tasks.settle.settle`."""
        payload = self.outcome_payload
        return settle(messages, self.database, with_payload=payload, others_succeed=others_succeed)

    def were_applied(self, messages: Sequence[Message]) -> list[bool]:
        """Look up which messages were applied; see `tasks.looking_up.were_applied`."""
        return were_applied(messages, self.database)

    def publish(self, outcomes: Sequence[Sequence[Outcome]], letters: Sequence[DeadLetter]) -> None:
        """Publish the outcomes of a batch, after its dead letters."""
        self.publisher.publish([one for many in outcomes for one in many], letters)

    def settle(self, message: Message) -> list[Outcome]:
        """Settle one message by itself: applied, then published."""
        (outcomes,) = settle_batch([message], self.database, with_payload=self.outcome_payload)
        self.publish([outcomes], dead_letters([message], [outcomes], [{}]))
        return outcomes


def make_service(settings: Settings) -> Service:
    """Make the service of this process; nothing is connected yet.

    Raises:
        SettingsError: The URL of the result channel has an option that there is not.
    """
    client, letters = _make_clients(settings.result_channel_variable, settings.result_channel_url)
    database = Database(
        settings.database_url,
        statement_timeout_seconds=settings.statement_timeout_seconds,
        lock_timeout_seconds=settings.lock_timeout_seconds,
    )
    return Service(
        database=database,
        fitness=Fitness(database, settings.database_url),
        publisher=OutcomePublisher(
            client,
            stream_max_length=settings.outcome_stream_max_length,
            keep_for=settings.groups_kept_for,
            letters=letters,
            min_replicas=settings.outcome_min_replicas,
        ),
        message_max_updates=settings.message_max_updates,
        outcome_payload=settings.outcome_payload,
    )


def make_replica(settings: Settings) -> Replica | None:
    """Make the way to the replica that lists are read from, None where none is set."""
    if settings.read_database_url is None:
        return None
    return Replica(
        settings.read_database_url,
        settings.database_url,
        max_lag_seconds=settings.read_max_lag_seconds,
    )


def _make_clients(name: str, url: str) -> tuple[redis.Redis, redis.Redis]:
    """Make a client for the outcomes, and one for the dead letters: of a cluster, two."""
    try:
        client: redis.Redis = open_client(url, asynchronous=False, key=OUTCOMES)
        if not is_cluster(url):
            return client, client
        return client, open_client(url, asynchronous=False, key=DEAD_LETTERS)
    except AddressError as error:
        raise SettingsError(
            f"{name}: correct its options, behind the `?`: redis-py does not take them"
        ) from error


# `cache` alone lets each of several threads make one, and they need it at the same moment.
_making = Lock()


def service() -> Service:
    """Return this process's service."""
    with _making:
        return _service_of(os.getpid())


@cache
def _service_of(_process_id: int) -> Service:
    # A parent's stays in the cache of its child: dropped, it would close the parent's connections.
    return make_service(load_settings())
