"""What the slots and what is held beside them have in common: pauses, and parts of a batch.

When a batch is tried again is for `worker.applying.slots`, `doubts` and `late` to say.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from service.batching import Batch
    from worker.held import Held
    from worker.transport.broker import Deliveries

FIRST_PAUSE_SECONDS = 0.1
# More doublings than any setting has room for.
MAX_DOUBLINGS = 16
# Those of batches that left begin at 1.
NUMBERS = itertools.count(-1, -1)


def pause_seconds(tries: int, most_seconds: float) -> float:
    """Return how long to pause after so many tries: twice as long each time, and not in step.

    Args:
        tries: That failed.
        most_seconds: The longest pause.
    """
    pause = min(FIRST_PAUSE_SECONDS * 2 ** min(tries, MAX_DOUBLINGS), most_seconds)
    return pause * random.uniform(0.5, 1.0)


def put_apart(deliveries: Deliveries, batch: Batch[Held]) -> None:
    """Let nobody work on messages, and others be fetched in their place."""
    held = [one.delivery for one in batch.items]
    deliveries.pause(held)
    for delivery in held:
        deliveries.park(delivery)


def take_up(deliveries: Deliveries, batch: Batch[Held]) -> None:
    """Take up the work on messages that were put apart."""
    held = [one.delivery for one in batch.items]
    for delivery in held:
        deliveries.unpark(delivery)
    deliveries.resume(held)


def split(batch: Batch[Held], some: int) -> tuple[Batch[Held], Batch[Held] | None]:
    """Part a batch into the others, and some of its messages, if there are any.

    Args:
        batch: As it was in its slot.
        some: A bit for the place of each of them.
    """
    if not some:
        return batch, None
    parts: tuple[list[Held], list[Held]] = [], []
    for place, held in enumerate(batch.items):
        parts[some >> place & 1].append(held)
    return part(batch, parts[0]), part(batch, parts[1])


def part(batch: Batch[Held], items: Sequence[Held]) -> Batch[Held]:
    """Return a batch of some of its messages."""
    count = sum(held.update_count for held in items)
    return replace(batch, items=tuple(items), update_count=count)


def part_off(batch: Batch[Held], items: Sequence[Held]) -> Batch[Held]:
    """Return a batch of some of its messages, beside what is left of it: it has its own number."""
    return replace(part(batch, items), number=next(NUMBERS))


def byte_count(items: Iterable[Held]) -> int:
    """Return how much memory messages take, about."""
    return sum(held.byte_count for held in items)
