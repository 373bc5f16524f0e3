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
    # Meanwhile: what fails now fails by itself.
    others_succeed: bool = False


@dataclass(frozen=True, slots=True)
class NotDone:
    """The batch is not committed, or not published.

    `expected` distinguishes trouble that passes by itself, through which the batch is
    held, from what somebody must see to, for which it goes back to the queue. A batch
    `in_doubt` failed for what each of its messages may be to blame for, or none. One that
    `took_too_long` may have waited for one row.
    """

    kind: str
    error: str
    expected: bool
    in_doubt: bool = False
    took_too_long: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The batch is committed and published: it may be acknowledged.

    Attributes:
        summary: What became of it.
        seconds: How long each step took.
        changed: How many events it has settled.
        doubtful: The messages that are left out of all this, because they are in doubt: for
            each a bit of its place in the batch.
        doubt: What failed with those.
    """

    summary: Summary
    seconds: dict[str, float] = field(default_factory=dict)
    changed: int = 0
    doubtful: int = 0
    doubt: NotDone | None = None


def job_of(items: Sequence[Held], *, others_succeed: bool = False) -> Job:
    """Return what a slot needs of a batch.

    Args:
        items: Its messages.
        others_succeed: Whether others were settled since these failed.
    """
    return Job(
        key=uuid.uuid4().hex,
        messages=tuple(held.message for held in items),
        deliveries=tuple(held.details for held in items),
        wants_result=tuple(held.wants_result for held in items),
        others_succeed=others_succeed,
    )
