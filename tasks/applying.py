"""A batch, applied: with one guarded update, or without what the database does not take.

A statement that fails for the sake of one update (a trigger that raises, a constraint, a
policy, a value that cannot be stored) is tried with fewer, until that update stands alone.
What its event is by then is looked up. Who is answered what is not decided here.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from db import BadDataError, DatabaseError, EventRow, Rows, Settlement, TransientDatabaseError
from tasks.isolating import forget_frames, isolate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Failed = Iterable[tuple[Settlement, Exception]]


# Of one try: a batch that gets no further is taken for stuck.
MAX_HALVING_SECONDS = 20.0


class Events(Protocol):
    """What settling needs of the database: see `db.Database`."""

    def settle_pending_events(
        self, settlements: Sequence[Settlement], *, with_payload: bool = False
    ) -> Rows:
        """Settle those events of a batch that are pending and return all that exist."""
        ...

    def read_events(
        self, event_ids: Sequence[str], *, with_payload: bool = False
    ) -> Mapping[str, EventRow]:
        """Read events as they stand."""
        ...


class Applied(NamedTuple):
    """What became of a batch.

    Attributes:
        rows: Its events as committed, by id.
        changed: How many of them this batch has settled.
        invalid: The settlements whose event cannot even be looked for, and why.
        refused: The settlements that failed alone, of events that are pending, and why.
    """

    rows: dict[str, EventRow]
    changed: int
    invalid: dict[Settlement, str]
    refused: dict[Settlement, Exception]


def apply(
    settlements: Sequence[Settlement],
    events: Events,
    *,
    with_payload: bool = False,
    may_be_parted: bool = False,
) -> Applied:
    """Apply settlements, each as if it were alone.

    Args:
        settlements: In the order in which they arrived.
        events: Where to apply them.
        with_payload: Read the events' payloads too.
        may_be_parted: Whether fewer can be applied in another try, if halving takes too long.

    Raises:
        DatabaseError: It is no settlement's fault. Some may have been applied; applying the
            same again is safe.
    """
    deadline = time.monotonic() + MAX_HALVING_SECONDS

    def settle(some: Sequence[Settlement]) -> Rows:
        if may_be_parted and time.monotonic() > deadline:
            raise _took_too_long()
        return events.settle_pending_events(some, with_payload=with_payload)

    # What fails where there is nothing to do fails for the sake of no settlement.
    passing, check = (TransientDatabaseError,), partial(settle, [])
    parts, failed = isolate(settlements, settle, passing=passing, check=check)
    if len(parts) == 1 and not failed:
        return Applied(parts[0], parts[0].changed, {}, {})
    read, invalid = _look_up(failed, events, with_payload=with_payload)
    if len(invalid) < len(failed):
        # Reading waits for no standby: who commits after it does, and for all that was read.
        events.settle_pending_events([], with_payload=with_payload)
    found: dict[str, EventRow] = {}
    for part in (*parts, read):
        found |= part
    refused = {
        settlement: error
        for settlement, error in failed
        if settlement.applies_to(found.get(settlement.event_id))
    }
    return Applied(found, sum(part.changed for part in parts), invalid, refused)


def _took_too_long() -> TransientDatabaseError:
    error = TransientDatabaseError("too much of the batch is refused to be tried at once")
    error.took_too_long = True
    return error


def _look_up(
    failed: Failed, events: Events, *, with_payload: bool
) -> tuple[dict[str, EventRow], dict[Settlement, str]]:
    rows: dict[str, EventRow] = {}
    invalid: dict[Settlement, str] = {}
    for settlement, error in failed:
        if not isinstance(error, DatabaseError):
            raise error
        forget_frames(error)
        try:
            rows |= events.read_events([settlement.event_id], with_payload=with_payload)
        except BadDataError as unreadable:
            invalid[settlement] = str(unreadable)
    return rows, invalid
