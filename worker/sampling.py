"""What is asked of the servers every few seconds: whether they answer, and how much waits.

In a thread of its own, on connections of its own, so that a server that does not
answer holds nothing up. PostgreSQL is asked only while no batch tells anyway.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import redis
from celery.utils.log import get_logger
from redis.client import NEVER_DECODE

from db import Database, DatabaseError
from tasks.names import DEAD_LETTERS, QUEUE
from worker import metrics
from worker.doctor.queue import PRIORITIES
from worker.doctor.rabbitmq import NOT_FOUND, reach_broker
from worker.doctor.redis_connection import reach_primary, reach_redis
from worker.sent import sent_at_of_item
from worker.settings import is_redis, uses_sentinels

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from worker.health import Vitals
    from worker.settings import Settings

logger = get_logger(__name__)

SAMPLE_SECONDS = 5.0
# With no batch settled for so long PostgreSQL is asked by itself.
IDLE_SECONDS = 10.0
ANSWER_SECONDS = 3.0

LISTS = (f"{QUEUE}.retry", *(QUEUE + priority for priority in PRIORITIES))


class Kept:
    """A connection that is made when needed and kept; one that has died is made anew."""

    def __init__(self, reach: Callable[[], AbstractContextManager[Any]]) -> None:
        self._reach = reach
        self._stack = ExitStack()
        self._server: Any = None

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Return the answer to a question, asked twice if the connection may have died since."""
        if self._server is not None:
            try:
                return question(self._server)
            except redis.ResponseError:
                raise
            except Exception:  # noqa: BLE001 - of a connection in any state of decay
                self.close()
        self._server = self._stack.enter_context(self._reach())
        return question(self._server)

    def close(self) -> None:
        """Close it, if there is one."""
        self._server = None
        try:
            self._stack.close()
        except Exception as error:  # noqa: BLE001 - the same
            logger.debug("A connection was dead: %s", error)


class Sampler:
    """Asks the servers, and leaves word of what they say."""

    def __init__(self, settings: Settings, vitals: Vitals) -> None:
        """Connect to nothing yet."""
        self._vitals = vitals
        self._database = Database(
            settings.database_url, pool_size=1, statement_timeout_seconds=ANSWER_SECONDS
        )
        self._channel = Kept(partial(reach_redis, settings.result_channel_url))
        self._broker, self._count = _broker_of(settings)
        for gauge in (
            metrics.QUEUE_MESSAGES,
            metrics.QUEUE_AGE_SECONDS,
            metrics.DEAD_LETTERS_KEPT,
        ):
            gauge.set(math.nan)

    def sample(self, now: float) -> None:
        """Ask them all.

        Args:
            now: In seconds, of the clock of the vitals.
        """
        waiting, age = self._ask("broker", self._broker, self._count) or (math.nan, math.nan)
        metrics.QUEUE_MESSAGES.set(waiting)
        metrics.QUEUE_AGE_SECONDS.set(age)
        kept = self._ask("result_channel", self._channel, _dead_letters)
        metrics.DEAD_LETTERS_KEPT.set(math.nan if kept is None else kept)
        if self._vitals.failing or now - self._vitals.answered_at > IDLE_SECONDS:
            self._ask_database()

    def close(self) -> None:
        """Close every connection."""
        self._broker.close()
        self._channel.close()
        self._database.close()

    def _ask(self, name: str, server: Kept, question: Callable[[Any], Any]) -> Any:
        failure, answer = "", None
        try:
            answer = server.ask(question)
        except redis.ResponseError as error:
            # It answers, though not what was asked for: a right is missing, perhaps.
            logger.debug("The %s says: %s", name, error)
        except Exception as error:  # noqa: BLE001 - of whatever library reaches it
            server.close()
            failure = str(error) or type(error).__name__
        self._vitals.hear(name, failure)
        return answer

    def _ask_database(self) -> None:
        failure = ""
        try:
            self._database.check()
        except DatabaseError as error:
            failure = str(error)
        # For a moment, and not for as long as nothing happens.
        self._database.close()
        self._vitals.hear("database", failure)


def _broker_of(settings: Settings) -> tuple[Kept, Callable[[Any], tuple[float, float]]]:
    url = settings.broker_url
    if uses_sentinels(url):
        return Kept(partial(reach_primary, url, settings.sentinel_master or "")), _redis_queue
    if is_redis(url):
        return Kept(partial(reach_redis, url)), _redis_queue
    return Kept(partial(reach_broker, url)), _amqp_queue


def _redis_queue(server: Any) -> tuple[float, float]:
    """Return how many messages wait, and for how many seconds the oldest does."""
    with server.client.pipeline(transaction=False) as pipe:
        for name in LISTS:
            pipe.llen(name)
        lengths = pipe.execute()
    # The ends from which messages are fetched.
    items = [
        server.client.execute_command("LINDEX", name, -1, **{NEVER_DECODE: True})
        for name, length in zip(LISTS, lengths, strict=True)
        if length
    ]
    return sum(lengths), _age_seconds([item for item in items if item is not None])


def _age_seconds(items: list[bytes]) -> float:
    if not items:
        return 0.0
    sent = [sent_at for item in items if (sent_at := sent_at_of_item(item)) is not None]
    return max(0.0, time.time() - min(sent)) if sent else math.nan


def _amqp_queue(connection: Any) -> tuple[float, float]:
    try:
        with connection.channel() as channel:
            return channel.queue_declare(QUEUE, passive=True).message_count, math.nan
    except connection.channel_errors as error:
        if getattr(error, "reply_code", None) != NOT_FOUND:
            raise
        return 0, math.nan


def _dead_letters(server: Any) -> int:
    return int(server.client.xlen(DEAD_LETTERS))
