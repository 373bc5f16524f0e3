"""Messages that are plain but for asking for a later time, read straight from what a broker holds.

There may be a million of them, each to be looked at once before its time and left to the
broker until then. What asks for anything else as well, or for a time that is not written
as Celery writes it, goes by way of kombu and Celery's own reading.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from worker.understanding.plain import hold_plain

if TYPE_CHECKING:
    from worker.held import Held
    from worker.transport.delivery import RawDelivery

_WITH_ZONE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def read_delayed(delivery: RawDelivery, *, max_updates: int) -> tuple[Held | None, float]:
    """Read a message that is plain otherwise, if it asks for a later time.

    Args:
        delivery: As it came.
        max_updates: How many updates a message may carry.

    Returns:
        It and in how many seconds it is due, None and zero if it is something else.

    Raises:
        ValueError: Its time is none.
        OverflowError: The same.
    """
    stock = delivery.read(shown=False)
    eta = stock.headers.eta if stock is not None else None
    if stock is None or not isinstance(eta, str) or not _WITH_ZONE.fullmatch(eta):
        return None, 0.0
    seconds = (datetime.fromisoformat(eta) - datetime.now(UTC)).total_seconds()
    if seconds <= 0:
        return None, 0.0
    stock.headers.eta = None
    held = hold_plain(delivery, stock, max_updates=max_updates)
    return held, seconds if held is not None else 0.0
