"""Plain messages, read straight from what a broker holds.

Nearly every message is plain: what a stock Celery client sends when it asks for
nothing special, here for the first time, its updates valid. Such a message needs
nothing of kombu's or Celery's, whose objects cost several times what is done with
it. Whatever is not plain in any way is left to them, and to
`worker.understanding.other`; what is answered is the same either way.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from settle_client.names import TASK
from tasks.errors import NotUnderstoodError
from tasks.messages import InvalidUpdate, read_message
from worker.held import Held
from worker.transport.delivery import Shown, delivery_details

if TYPE_CHECKING:
    from worker.transport.delivery import Headers, RawDelivery, Stock


def read_plain(delivery: RawDelivery, *, max_updates: int, shown: bool = False) -> Held | None:
    """Read a message, if it is plain.

    Args:
        delivery: As it came.
        max_updates: How many updates a message may carry.
        shown: Whether a monitor wants to show it.

    Returns:
        None if it is not plain, whatever else it may be.
    """
    stock = delivery.read(shown=shown)
    return None if stock is None else hold_plain(delivery, stock, max_updates=max_updates)


def hold_plain(delivery: RawDelivery, stock: Stock, *, max_updates: int) -> Held | None:
    """Hold a message that was taken apart, None if it is not plain."""
    headers, body, queue, exchange = stock
    if not _ask_for_nothing(headers):
        return None
    try:
        message = read_message(headers.id, body, max_updates=max_updates)
    except NotUnderstoodError:
        return None
    updates = message.updates
    if InvalidUpdate in map(type, updates):
        return None
    return Held(
        delivery,
        message,
        len(updates),
        delivery.byte_count,
        0.0,
        not headers.ignore_result,
        _details(queue, exchange),
        None,
        headers if isinstance(headers, Shown) else None,
    )


def _ask_for_nothing(headers: Headers) -> bool:
    """Return whether there is nothing for Celery to see to."""
    return headers.task == TASK and not (
        headers.eta
        or headers.expires
        or headers.stamped_headers
        or headers.compression
        or headers.redelivered
        or headers.deliveries
    )


# Shared by all that came in the same way.
@lru_cache(maxsize=64)
def _details(queue: str, exchange: str) -> dict[str, Any]:
    return delivery_details(queue, exchange)
