"""A request that is answered later: its updates go to the queue, as one message.

First a record of it is kept, then it is sent: whoever is answered 202 can ask what became of it. A
request that was not answered may be sent, or not; sent again under its key it is the same message.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.messages import terms
from gateway.messages.pinning import pin
from gateway.messages.records import record_of
from gateway.requests.fairness import SharedRoom, Turns
from gateway.requests.preferences import ASYNC
from gateway.requests.problems import BusyError
from gateway.terms import CHANNEL_AWAY, JSON, RETRY_SOON
from service.channel import ChannelAwayError
from service.trouble_log import TroubleLog
from settle_client.broker import make_async_queue
from settle_client.envelope import bulk
from settle_client.outcome import encode_json
from settle_client.redis_queue import NotReplicatedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from gateway.messages.records import Records
    from gateway.outcomes.stream import Stream
    from service.settings import Settings
    from settle_client.broker import AsyncQueue
    from settle_client.envelope import Envelope
    from settle_client.update import StatusUpdate

    Accounts = frozenset[str] | None

SEND_SECONDS = 10.0
# So many are on their way to the broker at most.
MAX_SENDING = 100
# To refuse is work too, and who asks again at once would have nothing else done. So long they are
# held up before; and so many, for each holds what its client has sent ahead of the answer.
HOLD_UP_SECONDS = 1.0
MAX_HELD_UP = 500
AWAY = "broker is away"


class Enqueuer:
    """Sends the messages of one event loop."""

    def __init__(self, settings: Settings, stream: Stream, records: Records) -> None:
        """Connect nothing yet."""
        self._url, self._options = settings.named_broker_url, settings.broker_options
        self._stream, self._records = stream, records
        self._queue: AsyncQueue | None = None
        self._turns = Turns()
        self._waiting = SharedRoom(MAX_SENDING)
        self._held_up = asyncio.Semaphore(MAX_HELD_UP)
        self._trouble = TroubleLog("the broker takes messages again")

    @asynccontextmanager
    async def room(self, accounts: Accounts) -> AsyncIterator[None]:
        """Keep room for a request until it is answered, from before its body is read on.

        Args:
            accounts: Whose events there are for it, or None for all.

        Raises:
            BusyError: There is none: too many of theirs are on their way.
        """
        if self._waiting.is_full_of(accounts) and not self._held_up.locked():
            async with self._held_up:
                await asyncio.sleep(HOLD_UP_SECONDS)
        if self._waiting.is_full_of(accounts):
            raise BusyError
        self._waiting.take(accounts, 1)
        try:
            yield
        finally:
            self._waiting.give_back(accounts, 1)

    async def accept(
        self,
        message_id: str,
        updates: Sequence[StatusUpdate],
        accounts: Accounts,
        charge: Callable[[Sequence[StatusUpdate]], Awaitable[None]],
    ) -> Response:
        """Send a message that there is room for, and answer where its outcomes will be.

        Args:
            message_id: Of the message.
            updates: All of them are valid.
            accounts: Whose events there are, or None for all.
            charge: Holds updates to their limits, once nothing else is wrong with them.

        Raises:
            NotUnderstoodError: An update is for no account of these.
            HTTPException: It could not be sent, its id is taken or cannot be, or it is too much.
        """
        if message_id in terms.DOT_SEGMENTS:
            raise HTTPException(400, terms.NO_ADDRESS)
        updates = pin(updates, accounts)
        try:
            extent = await self._stream.extent()
            record = record_of(updates, extent.last, extent.added)
            _check_is_ours(await self._records.may_claim(message_id, record))
            await charge(updates)
            _check_is_ours(await self._records.claim(message_id, record))
        except ChannelAwayError as error:
            raise HTTPException(503, CHANNEL_AWAY, RETRY_SOON) from error
        await self._send(bulk(updates)._replace(message_id=message_id), accounts)
        place = terms.MESSAGE.replace("{messageId}", quote(message_id, safe=""))
        headers = {"Location": place, "Preference-Applied": ASYNC}
        state = terms.MessageState(message_id, len(updates), len(updates), [])
        return Response(encode_json(state), 202, headers, JSON)

    async def _send(self, envelope: Envelope, accounts: Accounts) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS), self._turns.of(accounts):
                await self._push(envelope)
        except NotReplicatedError as error:
            # As one trouble with those who wait for their turn meanwhile, for too long.
            self._trouble.note(AWAY, f"{error}: start more, or lower SETTLE_BROKER_MIN_REPLICAS")
            raise HTTPException(503, terms.NOT_REPLICATED, RETRY_SOON) from error
        except Exception as error:
            # Of a driver.
            self._trouble.note(AWAY, f"{type(error).__name__}: {error}")
            raise HTTPException(503, terms.BROKER_AWAY, RETRY_SOON) from error
        self._trouble.is_over()

    async def _push(self, envelope: Envelope) -> None:
        # One that failed or hangs is left to itself.
        queue, self._queue = self._queue or make_async_queue(self._url, **self._options), None
        try:
            await queue.push([envelope])
        except NotReplicatedError:
            # Nothing is wrong with the way there.
            self._queue = queue
            raise
        self._queue = queue

    async def close(self) -> None:
        """Close the connections."""
        if self._queue is not None:
            await self._queue.close()


def _check_is_ours(is_ours: bool) -> None:
    if not is_ours:
        raise HTTPException(409, terms.TAKEN)
