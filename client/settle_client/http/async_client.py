"""The service over HTTP for asyncio: one client an event loop, for all its tasks.

`settle_client.http.events` and `settle_client.http.outcomes` decide what is asked, and what
again, as they do for `settle_client.http.client`; here are the connections.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self, TypeVar

from settle_client.home import Home
from settle_client.http import events, outcomes
from settle_client.http.async_wire import Wire
from settle_client.http.outcomes import Listener
from settle_client.http.transport import open_http
from settle_client.steps import drive_async, iterate_async

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from datetime import datetime

    from settle_client.event import CreatedEvent, Event
    from settle_client.http.answers import OutcomePage
    from settle_client.http.events import EventPage
    from settle_client.http.retrying import Steps
    from settle_client.outcome import Outcome
    from settle_client.update import StatusUpdate

Result = TypeVar("Result")


class AsyncHttpClient:
    """A gateway, asked over HTTP, for one event loop: the first that uses it.

    Elsewhere all of it raises `BelongsElsewhereError`.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, timeout_seconds: float = 30.0, **options: Any
    ) -> None:
        """Connect when needed.

        Args:
            url: Of the gateway, such as `https://settle.example.com`.
            api_key: As `settle gateway new-key` has shown it.
            timeout_seconds: How long each call is tried, again and again.
            options: Of httpx's client, such as `verify`, `proxy` and `headers`.

        Raises:
            AddressError: httpx is not installed, or the URL, the key or an option cannot be meant.
        """
        self._client = open_http(url, api_key, options, asynchronous=True)
        self._timeout_seconds = timeout_seconds
        self._home = Home("AsyncHttpClient")

    async def get_event(self, event_id: str) -> Event:
        """Return an event as it stands.

        Raises:
            InvalidUpdateError: It cannot be an id.
            NotFoundError: There is none, or the key may not see it.
        """
        return await self._drive(events.get_event(event_id, self._timeout_seconds))

    def list_events(
        self,
        *,
        status: str | None = None,
        event_type: str | None = None,
        account_id: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        page_size: int = 100,
    ) -> AsyncGenerator[Event, None]:
        """Yield events, oldest first: each that is there and pending all the while, once.

        Args:
            status: `pending`, `completed` or `failed`; None for all.
            event_type: Of this type.
            account_id: Of this account, as far as the key may see it.
            created_after: Later than this time.
            created_before: Earlier than this time.
            page_size: How many are asked for at a time, at most 1,000.
        """
        filters = {
            "status": status,
            "event_type": event_type,
            "accountId": account_id,
            "created_after": created_after,
            "created_before": created_before,
            "pageSize": page_size,
        }
        return self._iterate(events.list_events(filters, self._timeout_seconds))

    async def list_page(
        self,
        *,
        status: str | None = None,
        event_type: str | None = None,
        account_id: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        page: int | None = None,
        page_size: int = 100,
        after: str | None = None,
    ) -> EventPage:
        """Return one page of events, with the `after` of the next.

        Args:
            status: See `list_events`, as for those that follow.
            event_type: Of this type.
            account_id: Of this account.
            created_after: Later than this time.
            created_before: Earlier than this time.
            page: Its number, from 1. Pages that are counted skip what moves up meanwhile.
            page_size: How many are on it, at most 1,000.
            after: In place of a number: where the page before has ended.
        """
        filters = {
            "status": status,
            "event_type": event_type,
            "accountId": account_id,
            "created_after": created_after,
            "created_before": created_before,
            "page": page,
            "pageSize": page_size,
            "after": after,
        }
        return await self._drive(events.list_page(filters, self._timeout_seconds))

    async def create_events(self, new: Sequence[Event | Mapping[str, Any]]) -> list[CreatedEvent]:
        """Create pending events, 1 to 1,000 of them, and return what became of each.

        Args:
            new: With `id`, `accountId`, `eventType`, and `payload` and `createdAt` if wished.
                What is there with the same content stays as it is, so this may be repeated.

        Raises:
            InvalidUpdateError: One cannot be written as JSON; nothing is sent.
        """
        return await self._drive(events.create_events(new, self._timeout_seconds))

    async def settle(
        self, update: StatusUpdate | Mapping[str, Any], *, message_id: str | None = None
    ) -> Outcome:
        """Settle one event, and return its outcome.

        Args:
            update: What it becomes.
            message_id: One that was not answered before, to have its answer now.

        Raises:
            InvalidUpdateError: It is not valid; nothing is sent.
            NotFoundError: There is no such event, or the key may not see it.
            ConflictError: It is settled already, by another message.
        """
        return await self._drive(events.settle(update, message_id, self._timeout_seconds))

    async def settle_together(
        self,
        updates: Sequence[StatusUpdate | Mapping[str, Any]],
        *,
        message_id: str | None = None,
    ) -> list[Outcome]:
        """Settle events in one message, and return an outcome for each update, in their order.

        Args:
            updates: At least one, at most as many as the gateway takes: 1,000 unless set.
            message_id: One that was not answered before, to have its answer now.

        Raises:
            InvalidUpdateError: One is not valid; nothing is sent.
        """
        return await self._drive(events.settle_together(updates, message_id, self._timeout_seconds))

    async def settle_later(
        self,
        updates: Sequence[StatusUpdate | Mapping[str, Any]],
        *,
        message_id: str | None = None,
    ) -> str:
        """Have events settled by way of the queue, and return the message's id: see `wait`.

        Args:
            updates: As for `settle_together`.
            message_id: One that was not answered before, or of one's own choice.

        Raises:
            InvalidUpdateError: One is not valid; nothing is sent.
            ConflictError: The message id is that of another request.
        """
        return await self._drive(events.settle_later(updates, message_id, self._timeout_seconds))

    def wait(self, message_id: str, *, timeout_seconds: float) -> AsyncGenerator[Outcome, None]:
        """Wait for the outcomes of a message, yielding each once as it comes.

        Args:
            message_id: From `settle_later`.
            timeout_seconds: For all of them together.

        Raises:
            TimeoutError: Some outcomes have not come in time; it says how many.
            NotFoundError: There is no such message, or the key may not see it.
            GoneError: Outcomes were trimmed: send the same under its message id again.
        """
        return self._iterate(outcomes.wait(message_id, timeout_seconds))

    async def position(self) -> str:
        """Return where the stream of outcomes ends now, to listen from there later."""
        return await self._drive(outcomes.position(self._timeout_seconds))

    async def poll(
        self,
        since: str,
        *,
        wait_seconds: int = 0,
        message_id: str | None = None,
        reasons: Sequence[str] | None = None,
    ) -> OutcomePage:
        """Read outcomes behind a position, waiting for the first if there are none yet.

        Args:
            since: A position, or `oldest`.
            wait_seconds: How long to wait at most, up to 60.
            message_id: Those of this message alone.
            reasons: Those with one of these reasons, `updated` for none.

        Returns:
            Some of the next outcomes, and the position behind them; also where none came.

        Raises:
            GoneError: Some are gone; it says where to begin.
        """
        filters = {"messageId": message_id, "reason": reasons}
        return await self._drive(outcomes.poll(since, wait_seconds, filters, self._timeout_seconds))

    def listen(
        self,
        since: str | None = None,
        *,
        message_id: str | None = None,
        reasons: Sequence[str] | None = None,
    ) -> AsyncGenerator[tuple[str, Outcome | None], None]:
        """Listen to outcomes, for ever, as they are published.

        What breaks is made again, from where it was: none is missed, and some may repeat.

        Args:
            since: A position, `oldest`, or None for from now on.
            message_id: Those of this message alone.
            reasons: Those with one of these reasons, `updated` for none.

        Yields:
            Where to go on, with an outcome; every now and then without one, and so at first,
            when listening has begun.

        Raises:
            GoneError: Some are gone; it says where to begin.
        """
        filters = {"messageId": message_id, "reason": reasons}
        return self._iterate(Listener(since, filters, self._timeout_seconds).listen())

    async def close(self) -> None:
        """Close the connections, for good: what listens is told so."""
        self._home.check()
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- for the core ----------------------------------------------------------------

    async def _drive(self, steps: Steps[Result]) -> Result:
        return await drive_async(steps, Wire(self._client, self._home).perform)

    async def _iterate(self, steps: Steps[None]) -> AsyncGenerator[Any, None]:
        wire = Wire(self._client, self._home)
        async with aclosing(wire), aclosing(iterate_async(steps, wire.perform)) as given:
            async for each in given:
                yield each
