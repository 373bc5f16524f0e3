"""What is left of a batch to publish, where a try before this one published some of it.

A try may be another process's, which has read the outcomes off the rows anew. So what is
left out is what says the same as that which was published: anything else is told, if need
be again. What became of each message is not known here, nor what fails for the sake of one.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from tasks.errors import OutcomesNotPublishedError
from worker.job import UNPUBLISHED, Published

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.connections import Service
    from settle_client.outcome import Outcome
    from tasks.publishing import DeadLetter

DIGEST_BYTES = 16


def publish_rest(
    service: Service,
    outcomes: Sequence[Outcome],
    letters: Sequence[DeadLetter],
    published: Published,
) -> None:
    """Publish what is not published of outcomes, and of the dead letters before them.

    Args:
        service: Where to publish.
        outcomes: All of a batch, in order.
        letters: All of theirs.
        published: How far a try before this one came.

    Raises:
        OutcomesNotPublishedError: There still is a rest. It says how far this one came,
            counted from the first of all.
    """
    done = published if published == _mark(outcomes, letters, *published[:2]) else UNPUBLISHED
    try:
        service.publish([outcomes[done.outcomes :]], letters[done.letters :])
    except OutcomesNotPublishedError as error:
        mark = _mark(
            outcomes, letters, done.letters + error.letters, done.outcomes + error.outcomes
        )
        error.letters, error.outcomes, error.digest = mark
        raise


def _mark(
    outcomes: Sequence[Outcome], letters: Sequence[DeadLetter], letter_count: int, count: int
) -> Published:
    """Note that so many are published, and what they say."""
    if not letter_count and not count:
        return UNPUBLISHED
    digest = blake2b(digest_size=DIGEST_BYTES)
    for letter in letters[:letter_count]:
        digest.update(repr(letter).encode(errors="replace"))
    for outcome in outcomes[:count]:
        digest.update(outcome.to_json())
    return Published(letter_count, count, digest.digest())
