"""Whether messages were applied before, as the rows remember.

A message that has expired, or was revoked, is not to be applied. If it was delivered
before, that may have happened all the same, and nobody been told. Settling it again, if
it was, gives the outcomes that it has; that is `tasks.settle`'s.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Protocol

from settle_client.update import StatusUpdate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.messages import Message


class Settlers(Protocol):
    """What looking up needs of the database: see `db.Database`."""

    def read_settlers(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """Return by which messages events were settled."""
        ...


def were_applied(messages: Sequence[Message], events: Settlers) -> list[bool]:
    """Return of each message whether an event was settled by it.

    Args:
        messages: By their ids and their updates.
        events: Where to look.

    Raises:
        DatabaseError: It is not known.
    """
    ids = [_event_ids(message) for message in messages]
    settlers = events.read_settlers(list(dict.fromkeys(chain.from_iterable(ids))))
    return [
        any(settlers.get(id_) == message.id for id_ in of_message)
        for message, of_message in zip(messages, ids, strict=True)
    ]


def _event_ids(message: Message) -> list[str]:
    return [update.id for update in message.updates if isinstance(update, StatusUpdate)]
