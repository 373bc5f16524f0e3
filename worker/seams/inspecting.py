"""What `celery inspect` and the heartbeat see of messages that are in batches.

Celery knows messages as requests, one object each; a batch has none. So they are
made when somebody looks, from what the strategy holds. `active` are the messages
in slots, `reserved` those that wait for one. It answers in the consumer's thread,
and changes nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from celery.worker import control, heartbeat
from celery.worker import state as worker_state

from settle_client.names import TASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

celery_active, celery_reserved = control.active, control.reserved
celery_query_task = control.query_task


class ActiveMessages:
    """How many messages are worked on, Celery's requests among them; for the heartbeat."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def __len__(self) -> int:
        strategy = self._consumer.strategy
        in_slots = strategy.load.slot_messages if strategy is not None else 0
        return len(worker_state.active_requests) + in_slots


def install(consumer: Any) -> None:
    """Let the heartbeats of a consumer count the messages in its slots."""
    heartbeat.active_requests = ActiveMessages(consumer)


@control.inspect_command(alias="dump_active")
def active(state: Any, safe: bool = False, **kwargs: Any) -> list[dict[str, Any]]:
    """List the messages that slots work on."""
    strategy = state.consumer.strategy
    known = list(celery_active(state, safe=safe, **kwargs))
    return known + ([] if strategy is None else list(infos(strategy, strategy.in_slots())))


@control.inspect_command(alias="dump_reserved")
def reserved(state: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """List the messages that wait for a slot."""
    strategy = state.consumer.strategy
    known = list(celery_reserved(state, **kwargs))
    return known + ([] if strategy is None else list(infos(strategy, strategy.waiting())))


@control.inspect_command(variadic="ids", signature="[id1 [id2 [... [idN]]]]")
def query_task(state: Any, ids: str | Sequence[str], **kwargs: Any) -> dict[str, Any]:
    """Look messages up by id."""
    wanted = {ids} if isinstance(ids, str) else set(ids)
    found: dict[str, Any] = celery_query_task(state, ids, **kwargs)
    strategy = state.consumer.strategy
    if strategy is not None:
        for what, items in (("reserved", strategy.waiting()), ("active", strategy.in_slots())):
            these = [held for held in items if held.message.id in wanted]
            found.update((info["id"], [what, info]) for info in infos(strategy, these))
    return found


def infos(strategy: Any, items: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Describe messages as Celery describes requests."""
    for held in items:
        try:
            # `safe`: as their sender shows the arguments.
            info = strategy.request_of(held).info(safe=True)
        except Exception:  # noqa: BLE001 - what is not understood is held too, to be answered
            info = {"id": held.message.id, "name": TASK, "args": None, "kwargs": None}
            info["delivery_info"] = held.details
        yield {**info, "worker_pid": os.getpid()}
