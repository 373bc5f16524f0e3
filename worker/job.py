"""A batch's way through a slot: what goes in, and what comes back.

A slot may be a process, so all of it can be pickled. What is done with it is in
`worker.applying`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.messages import Message
    from worker.held import Held
    from worker.summary import Summary


class Published(NamedTuple):
    """How far a batch is published: from the first on, and what that says.

    In the next try, perhaps in another process, only what says the same is left out: an
    event may have been inserted meanwhile, and be settled, of which nobody was told.
    """

    letters: int = 0
    outcomes: int = 0
    digest: bytes = b""


UNPUBLISHED = Published()


@dataclass(frozen=True, slots=True)
class Job:
    """A batch on its way through a slot, under the same key however often it is tried.

    Celery writes jobs down when it debugs; what messages carry is not for a log.
    """

    key: str
    messages: tuple[Message, ...] = field(repr=False)
    deliveries: tuple[dict[str, Any], ...] = field(repr=False)
    wants_result: tuple[bool, ...] = field(repr=False)
    # The places of messages that are to be dropped, unless they were applied before.
    in_question: tuple[int, ...] = ()
    # Meanwhile: what fails now fails by itself.
    others_succeed: bool = False
    # How far a try before this one came.
    published: Published = UNPUBLISHED


@dataclass(frozen=True, slots=True)
class NotDone:
    """The batch is not committed, or not published.

    `expected` distinguishes trouble that passes by itself, through which the batch is
    held, from what somebody must see to, for which it goes back to the queue. A batch
    `in_doubt` failed for what each of its messages may be to blame for, or none. One that
    `took_too_long` may have waited for one row. `published` is the next job's.
    """

    kind: str
    error: str
    expected: bool
    in_doubt: bool = False
    took_too_long: bool = False
    published: Published = UNPUBLISHED


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
        dropped: The messages that were dropped, of which nothing else here speaks; likewise.
    """

    summary: Summary
    seconds: dict[str, float] = field(default_factory=dict)
    changed: int = 0
    doubtful: int = 0
    doubt: NotDone | None = None
    dropped: int = 0


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
        in_question=tuple(place for place, held in enumerate(items) if held.drop_reason),
        others_succeed=others_succeed,
    )
