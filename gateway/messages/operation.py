"""`GET /v2/api/messages/{messageId}`: what became of a request that is answered later.

The outcomes are looked for in the stream, behind where it ended when the message was sent. What
was looked through is kept with the record of the message, so that nobody looks twice: who asks
again and again reads no more than what has come since.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from gateway.messages import terms
from gateway.outcomes.positions import Position
from gateway.outcomes.stream import page_size, sizes_of
from gateway.outcomes.terms import AWAY
from gateway.requests.fairness import Turns
from gateway.terms import JSON, RETRY_SOON
from service.channel import ChannelAwayError
from settle_client.outcome import encode_json

if TYPE_CHECKING:
    from starlette.requests import Request

    from gateway.access.admission import Admission
    from gateway.messages.records import Record, Records
    from gateway.outcomes.stream import Entry, Stream

# So many look at once; the others wait for their turn.
LOOKING = 8
# So long one looks before it says how far it has come.
LOOK_SECONDS = 5.0
# So long anybody waits for Redis, and for others who do, before there is an answer.
PATIENCE_SECONDS = 15.0


class Search:
    """The outcomes of one message, as far as they were found."""

    def __init__(self, message_id: str, record: Record) -> None:
        self._message_id, self.record = message_id, record
        self.found: dict[int, Entry] = {}
        self.position = Position.parse(record.since)
        self.passed = record.added

    @property
    def awaited(self) -> int:
        """Return how many outcomes are not found yet."""
        return self.record.update_count - len(self.found)

    def take(self, entries: list[Entry]) -> None:
        """Look through entries of the stream, each of which is behind those before."""
        for entry in entries:
            if entry.message_id == self._message_id and self.record.has_outcome(entry):
                if not self.found:
                    self._keep(entry.position.before())
                self.found.setdefault(entry.update_index or 0, entry)
            if self.passed is not None:
                self.passed += 1
            self.position = entry.position

        if not self.found:
            self._keep(self.position)

    def _keep(self, since: Position) -> None:
        """Keep that no outcome is before a position."""
        self.record = msgspec.structs.replace(self.record, since=str(since), added=self.passed)


class Messages:
    """The operation."""

    def __init__(self, admission: Admission, stream: Stream, records: Records) -> None:
        self._admission, self._stream, self._records = admission, stream, records
        self._turns = Turns(LOOKING)
        path = terms.MESSAGE.replace("{messageId}", "{id:text}")
        self.routes = [Route(path, self.show)]

    async def show(self, request: Request) -> Response:
        """Answer with the outcomes of a message, and how many are awaited."""
        accounts = await self._admission.admit(request)
        message_id = request.path_params["id"]
        try:
            record = await self._records.find(message_id)
            if record is None or not record.may_be_seen_by(accounts):
                raise HTTPException(404, terms.NO_MESSAGE)
            async with asyncio.timeout(PATIENCE_SECONDS), self._turns.of(accounts):
                search = await self._look(message_id, record)
            if search.record != record:
                await self._records.advance(message_id, search.record)
        except (ChannelAwayError, TimeoutError) as error:
            raise HTTPException(503, AWAY, RETRY_SOON) from error
        return _answer(message_id, search)

    async def _look(self, message_id: str, record: Record) -> Search:
        search, size = Search(message_id, record), page_size()
        until = time.monotonic() + LOOK_SECONDS
        while search.awaited and time.monotonic() < until:
            page = await self._stream.read(search.position, size.entries)
            if not page.extent.has_all_behind(search.position, search.passed):
                raise HTTPException(410, terms.GONE)
            search.take(page.entries)
            if len(page.entries) < size.entries:
                break
            size.learn(sizes_of(page.entries))
        return search


def _answer(message_id: str, search: Search) -> Response:
    outcomes = [msgspec.Raw(entry.text) for _, entry in sorted(search.found.items())]
    count = search.record.update_count
    state = terms.MessageState(message_id, count, search.awaited, outcomes)
    if search.awaited:
        return Response(encode_json(state), 202, RETRY_SOON, JSON)
    return Response(encode_json(state), media_type=JSON)
