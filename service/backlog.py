"""What waits at the servers: messages in the queue, since when, and dead letters.

Workers ask every few seconds, for their metrics, and `settle top` by itself. Looks
only, and with few rights: what it needs of Redis is a length and the end of a list.
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

from service.addresses import is_redis, uses_sentinels
from service.reaching import NOT_FOUND, PRIORITIES, reach_broker, reach_primary, reach_redis
from service.sent import sent_at_of_item
from settle_client.names import DEAD_LETTERS, QUEUE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from service.settings import Settings

logger = get_logger(__name__)

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


def broker_of(settings: Settings) -> tuple[Kept, Callable[[Any], tuple[float, float]]]:
    """Return the way to the broker, and the question how many messages wait and since when."""
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


def result_channel_of(settings: Settings) -> Kept:
    """Return the way to the result channel."""
    return Kept(partial(reach_redis, settings.result_channel_url))


def dead_letters_kept(server: Any) -> int:
    """Return how many dead letters nobody has seen to."""
    return int(server.client.xlen(DEAD_LETTERS))
