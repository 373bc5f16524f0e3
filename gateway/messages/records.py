"""What is kept of a message that is answered later: who may ask, and where its outcomes are.

A small key of Redis for each, for a day, beside the stream: so any gateway can answer, also
after a restart of all of them. The outcomes themselves are the stream's alone.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from settle_client.names import OUTCOMES
from settle_client.outcome import encode_json
from tasks.replicas import check_reached, wait_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.outcomes.positions import Position
    from gateway.outcomes.stream import Entry
    from service.channel import Channel
    from settle_client.update import StatusUpdate

KEY = "event-messages:{}"
# Where the outcomes are: what is in braces says in which slot of a cluster.
CLUSTER_KEY = f"event-messages:{{{{{OUTCOMES}}}}}:{{}}"
KEPT_SECONDS = 24 * 3_600
# Of each id in hexadecimal digits: enough to tell another message under the same id by.
MARK_LENGTH = 8


class Record(msgspec.Struct, frozen=True):
    """What is known of a message.

    Attributes:
        accounts: Those of its updates, None if one may be of any.
        digest: Of its updates.
        marks: Of their ids, one behind the other.
        since: A position behind which all of its outcomes are.
        added: How many entries there were up to there, where that is counted.
    """

    accounts: list[str] | None
    digest: str
    marks: str
    since: str
    added: int | None

    @property
    def update_count(self) -> int:
        """Return how many updates it carries."""
        return len(self.marks) // MARK_LENGTH

    def may_be_seen_by(self, accounts: frozenset[str] | None) -> bool:
        """Return whether a key of some accounts, None for all, may ask for it."""
        return accounts is None or (self.accounts is not None and accounts >= set(self.accounts))

    def has_outcome(self, entry: Entry) -> bool:
        """Return whether an outcome is of this message, and not of another under its id."""
        index = entry.update_index
        if index is None or not 0 <= index < self.update_count or entry.event_id is None:
            return False
        is_ours = (
            self.accounts is None or entry.account_id is None or entry.account_id in self.accounts
        )
        place = index * MARK_LENGTH
        return is_ours and self.marks[place : place + MARK_LENGTH] == _mark(entry.event_id)

    def is_of(self, other: Record) -> bool:
        """Return whether both are of the same updates of the same accounts."""
        return (self.accounts, self.digest) == (other.accounts, other.digest)


def record_of(updates: Sequence[StatusUpdate], since: Position, added: int | None) -> Record:
    """Make the record of a message that is about to be sent.

    Args:
        updates: What it carries.
        since: Where the stream ends.
        added: How many entries there were up to there, where that is counted.
    """
    return Record(
        accounts=_accounts(updates),
        digest=sha256(encode_json(updates)).hexdigest(),
        marks="".join(_mark(update.id) for update in updates),
        since=str(since),
        added=added,
    )


class Records:
    """The records of all messages, in the Redis of the result channel."""

    def __init__(
        self, channel: Channel, *, on_cluster: bool = False, min_replicas: int = 0
    ) -> None:
        self._channel, self._min_replicas = channel, min_replicas
        self._key = CLUSTER_KEY if on_cluster else KEY

    async def find(self, message_id: str) -> Record | None:
        """Find the record of a message.

        Raises:
            ChannelAwayError: Redis cannot be asked.
        """
        async with self._channel.asked() as client:
            text = await client.execute_command("GET", self._key.format(message_id))
        return None if text is None else msgspec.json.decode(text, type=Record)

    async def may_claim(self, message_id: str, record: Record) -> bool:
        """Return whether nobody has another record under this id; keeps none.

        Raises:
            ChannelAwayError: Redis cannot be asked.
        """
        found = await self.find(message_id)
        return found is None or record.is_of(found)

    async def claim(self, message_id: str, record: Record) -> bool:
        """Keep the record of a message; return whether nobody has another under this id.

        Raises:
            ChannelAwayError: Redis cannot be asked.
        """
        key, text = self._key.format(message_id), encode_json(record)
        command = ("SET", key, text, "EX", KEPT_SECONDS)
        async with self._channel.asked() as client:
            if await self._write(client, *command, "NX"):
                return True
        if not await self.may_claim(message_id, record):
            return False
        # Sent again, it is answered again.
        async with self._channel.asked() as client:
            await self._write(client, *command)
        return True

    async def _write(self, client: Any, *command: Any) -> Any:
        if not self._min_replicas:
            return await client.execute_command(*command)
        async with client.pipeline(transaction=False) as pipe:
            pipe.execute_command(*command)
            pipe.execute_command(*wait_command(self._min_replicas))
            answer, reached = await pipe.execute()
        check_reached(reached, self._min_replicas)
        return answer

    async def advance(self, message_id: str, record: Record) -> None:
        """Keep how far the outcomes of a message were looked for.

        Raises:
            ChannelAwayError: Redis cannot be asked.
        """
        key = self._key.format(message_id)
        async with self._channel.asked() as client:
            await client.execute_command("SET", key, encode_json(record), "XX", "KEEPTTL")


def _accounts(updates: Sequence[StatusUpdate]) -> list[str] | None:
    accounts = {update.account_id for update in updates}
    return None if None in accounts else sorted(filter(None, accounts))


def _mark(event_id: str) -> str:
    return sha256(event_id.encode()).hexdigest()[:MARK_LENGTH]
