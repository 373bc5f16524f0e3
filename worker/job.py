"""A batch's way through a slot: what goes in, and what comes back.

A slot may be a process, so all of it can be pickled. What is done with it is in
`worker.applying`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.messages import Message
    from worker.held import Held
    from worker.summary import Summary


@dataclass(frozen=True, slots=True)
class Job:
    """A batch on its way through a slot, under the same key however often it is tried.

    Celery writes jobs down when it debugs; what messages carry is not for a log.
    """

    key: str
    messages: tuple[Message, ...] = field(repr=False)
    deliveries: tuple[dict[str, Any], ...] = field(repr=False)
    wants_result: tuple[bool, ...] = field(repr=False)
    # How many of its dead letters and of its outcomes are published.
    published: tuple[int, int] = (0, 0)
    # The places of messages that are to be dropped, unless they were applied before.
    in_question: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The batch is committed and published: it may be acknowledged.

    `dropped` has a bit for the place of each message that was dropped, and of which nothing
    else here speaks.
    """

    summary: Summary
    seconds: dict[str, float] = field(default_factory=dict)
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class NotDone:
    """The batch is not committed, or not published.

    `expected` distinguishes trouble that passes by itself, through which the batch is
    held, from what somebody must see to, for which it goes back to the queue. `published`
    is the next job's.
    """

    kind: str
    error: str
    expected: bool
    published: tuple[int, int] = (0, 0)


def job_of(items: Sequence[Held]) -> Job:
    """Return what a slot needs of a batch."""
    return Job(
        key=uuid.uuid4().hex,
        messages=tuple(held.message for held in items),
        deliveries=tuple(held.details for held in items),
        wants_result=tuple(held.wants_result for held in items),
        in_question=tuple(place for place, held in enumerate(items) if held.drop_reason),
    )
