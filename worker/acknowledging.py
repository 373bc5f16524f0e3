"""Messages that are done, dropped, or go back: the broker learns of it, and who watches.

Which messages, and when, is the strategy's; how, in what a broker speaks, is the broker's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from celery.worker import state

from worker.telling.log_lines import log_dropped
from worker.telling.result_store import result_store
from worker.telling.results import revoked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.held import Held
    from worker.telling.task_events import TaskEvents
    from worker.transport.broker import Deliveries


class Acknowledgements:
    """The acknowledgements of one connection."""

    def __init__(self, deliveries: Deliveries, task_events: TaskEvents) -> None:
        """Acknowledge nothing yet.

        Args:
            deliveries: What the broker delivers, and takes back.
            task_events: What monitors see.
        """
        self._deliveries, self._task_events = deliveries, task_events

    def acknowledge(self, items: Sequence[Held]) -> float:
        """Acknowledge messages, and return how many seconds that took."""
        started = time.monotonic()
        self._deliveries.acknowledge([held.delivery for held in items])
        _end_requests(items, successful=True)
        return time.monotonic() - started

    def drop(self, items: Sequence[Held]) -> None:
        """Acknowledge messages that were not applied and are not to be."""
        self._deliveries.acknowledge([held.delivery for held in items])
        _end_requests(items, successful=False)
        self._task_events.dropped(items)
        log_dropped(items)
        _hand_on_results(items)

    def give_back(
        self, items: Sequence[Held], *, died: bool = False, no_room: bool = False
    ) -> None:
        """Put messages back into their queue.

        Args:
            items: In order.
            died: Whether who worked on them died of it, perhaps.
            no_room: Whether there is no room for them.
        """
        deliveries = [held.delivery for held in items]
        self._deliveries.give_back(deliveries, died=died, no_room=no_room)
        _end_requests(items, successful=False)
        self._task_events.given_back(items)


def _hand_on_results(dropped: Sequence[Held]) -> None:
    store = result_store()
    wanted = [
        revoked(held.message.id, held.drop_reason or "")
        for held in dropped
        if held.wants_result and held.message.id
    ]
    if store is not None and wanted:
        store.add(wanted, hold_seconds=0)


def _end_requests(items: Sequence[Held], *, successful: bool) -> None:
    for held in items:
        if held.request is not None:
            state.task_ready(held.request, successful=successful)
