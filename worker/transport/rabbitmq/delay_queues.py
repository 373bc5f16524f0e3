"""Where RabbitMQ holds what is delayed: the queues of kombu's native delayed delivery.

A queue for each power of two seconds, in which messages expire, so that all of a queue
wait equally long and none stands behind one that is due later. A routing key says by its
bits through which of them a message goes; the last gives it back to the update queue.
They are quorum queues that pass on at least once. kombu declares and names them; with a
prefix they are this queue's own, and other applications have theirs.
"""

from __future__ import annotations

import math
from typing import Any, Final

from kombu.entity import Exchange, Queue
from kombu.transport import native_delayed_delivery as native

from settle_client.names import QUEUE

PREFIX: Final = QUEUE
# The exchange by which a message comes back.
EXIT: Final = f"{PREFIX}_{native.CELERY_DELAYED_DELIVERY_EXCHANGE}"
NAMES: Final = tuple(
    native.level_name(level, PREFIX) for level in range(native.MAX_NUMBER_OF_BITS_TO_USE)
)
# By which exchange a message has come back, for one that has not waited in the last queue passes
# through it by a binding.
RETURNS: Final = frozenset((EXIT, *NAMES))
# Eight years and a half. What is due later comes back then, and waits anew.
LONGEST_SECONDS: Final = 2**native.MAX_NUMBER_OF_BITS_TO_USE - 1


def declare(connection: Any) -> None:
    """Declare them all, and bind the update queue to what comes back."""
    native.declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum", PREFIX)
    make_queue: Any = Queue
    make_exchange: Any = Exchange
    with connection.channel() as channel:
        queue = make_queue(QUEUE, queue_arguments={"x-queue-type": "quorum"}, channel=channel)
        # The first worker of all may not have declared it yet.
        queue.queue_declare()
        queue.bind_to(make_exchange(EXIT, type="topic"), routing_key=f"#.{QUEUE}")


def route(seconds: float) -> tuple[str, str]:
    """Return the exchange and the routing key of what is due in so many seconds, or a bit later.

    The exchange is that of the queue in which it waits first; Celery's clients enter by
    the last one of all, from which RabbitMQ follows a binding for every bit in between.
    """
    whole = max(1, math.ceil(min(seconds, LONGEST_SECONDS)))
    return NAMES[whole.bit_length() - 1], str(native.calculate_routing_key(whole, QUEUE))


def count(connection: Any) -> int:
    """Return how many messages wait in them; none if they are not there yet."""
    try:
        with connection.channel() as channel:
            return sum(channel.queue_declare(name, passive=True).message_count for name in NAMES)
    except connection.channel_errors as error:
        if getattr(error, "reply_code", None) != 404:  # noqa: PLR2004 - AMQP's "not found"
            raise
        return 0
