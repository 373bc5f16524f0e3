"""`GET /v2/api/outcomes`: outcomes for those who have no Redis, of the accounts of their key.

A page of JSON for whoever asks again and again, and may wait for the first outcome; or
Server-Sent Events, for as long as the client listens. Both are fed by `gateway.outcomes.feed`.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.outcomes import server_sent_events, terms
from gateway.outcomes.feed import Feed, TrimmedError
from gateway.outcomes.forms import written
from gateway.outcomes.hub import Gone, Heard, Signal
from gateway.outcomes.queries import read_query, read_subscription
from gateway.requests.acceptance import prefers
from gateway.terms import ASK_FOR_KEY, JSON, RETRY_SOON
from service.channel import ChannelAwayError
from settle_client.outcome import encode_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from starlette.requests import Request

    from gateway.access.admission import Admission
    from gateway.outcomes.feed import Step
    from gateway.outcomes.hub import Hub
    from gateway.outcomes.queries import Query
    from gateway.outcomes.stream import Entry, Stream

# Less than a proxy waits for a sign of life.
HEARTBEAT_SECONDS = 15.0
# So long outcomes are looked for that are in the stream already.
SEARCH_SECONDS = 5.0
# So long anybody waits for Redis, and for others who do, before there is an answer.
PATIENCE_SECONDS = 15.0
# With which a page is full, however few outcomes these are.
PAGE_BYTES = 4 * 2**20


class OutcomesPage(msgspec.Struct, frozen=True):
    """Outcomes, and the position to ask for more with."""

    outcomes: list[msgspec.Raw]
    after: str


class Outcomes:
    """The operation."""

    def __init__(self, admission: Admission, stream: Stream, hub: Hub) -> None:
        self._admission, self._stream = admission, stream
        self._feed = Feed(stream, hub)
        self.routes = [Route(terms.OUTCOMES, self.show)]
        # Not HEAD, which would be a stream of nothing.
        self.routes[0].methods = {"GET"}

    async def show(self, request: Request) -> Response:
        """Answer with outcomes, in the form that is asked for."""
        accounts = await self._admission.admit(request)
        as_stream = prefers(request, terms.EVENT_STREAM, JSON)
        query = (read_subscription if as_stream else read_query)(request, accounts)
        try:
            async with asyncio.timeout(query.wait_seconds + PATIENCE_SECONDS):
                if as_stream:
                    return await self._stream_on(query, request)
                return await self._find_page(query, request)
        except TrimmedError as error:
            begin = str(error.begin or terms.OLDEST)
            link = f'<{terms.OUTCOMES}?after={begin}>; rel="next"'
            raise HTTPException(410, terms.trimmed(begin), {"Link": link}) from error
        except (ChannelAwayError, TimeoutError) as error:
            raise HTTPException(503, terms.AWAY, RETRY_SOON) from error

    def _follow(self, query: Query, quiet_seconds: Callable[[], float]) -> AsyncGenerator[Step]:
        return self._feed.follow(
            *(query.wanted, query.after),
            from_oldest=query.from_oldest,
            quiet_seconds=quiet_seconds,
        )

    # -- a page of JSON --------------------------------------------------------------

    async def _find_page(self, query: Query, request: Request) -> Response:
        began = checked_at = time.monotonic()
        deadline = began + query.wait_seconds
        found: list[Entry] = []
        position: object = query.after
        steps = self._follow(
            query, lambda: max(0, min(deadline, checked_at + HEARTBEAT_SECONDS) - time.monotonic())
        )
        async with aclosing(steps):
            async for step in steps:
                if time.monotonic() - checked_at >= HEARTBEAT_SECONDS:
                    self._check_still_let_in(request, query)
                    checked_at = time.monotonic()
                if isinstance(step, Gone) and query.from_oldest and not found:
                    position = step.position
                    continue
                if not isinstance(step, Heard):
                    _check_found(found, step)
                    break
                is_full = _fill(found, step.entries, query.limit)
                position = found[-1].position if is_full else step.position
                waited = time.monotonic() - began
                is_over = waited >= query.wait_seconds if step.is_live else waited > SEARCH_SECONDS
                if is_full or is_over or (found and step.is_live):
                    break
        self._check_still_let_in(request, query)
        given = [msgspec.Raw(written(entry, query.form)) for entry in found]
        page = OutcomesPage(given, str(position))
        return Response(encode_json(page), media_type=JSON)

    # -- Server-Sent Events ----------------------------------------------------------

    async def _stream_on(self, query: Query, request: Request) -> Response:
        steps = self._follow(query, lambda: HEARTBEAT_SECONDS)
        # Before it begins, an error can still be one of HTTP.
        first = await anext(steps)
        said = _write(first, steps, query.form, lambda: self._is_still_let_in(request, query))
        return StreamingResponse(said, headers=terms.NOT_KEPT, media_type=terms.EVENT_STREAM)

    def _check_still_let_in(self, request: Request, query: Query) -> None:
        if not self._is_still_let_in(request, query):
            raise HTTPException(401, terms.REVOKED, ASK_FOR_KEY)

    def _is_still_let_in(self, request: Request, query: Query) -> bool:
        """Return whether a listener may still hear what it may hear by its request."""
        try:
            accounts = self._admission.identify(request).accounts
        except HTTPException:
            return False
        return accounts == query.wanted.accounts


def _fill(found: list[Entry], entries: list[Entry], limit: int) -> bool:
    """Add entries to a page; return whether it is full."""
    size = sum(len(entry.text) for entry in found)
    for entry in entries:
        found.append(entry)
        size += len(entry.text)
        if len(found) == limit or size >= PAGE_BYTES:
            return True
    return False


def _check_found(found: list[Entry], step: Gone | Signal) -> None:
    """Let what is wrong be the answer, unless there is another."""
    if found:
        return
    if isinstance(step, Gone):
        raise TrimmedError(step.position, step.extent)
    if step is Signal.AWAY:
        raise ChannelAwayError


async def _write(
    first: Step, steps: AsyncGenerator[Step], form: str, may_listen: Callable[[], bool]
) -> AsyncIterator[bytes]:
    async with aclosing(steps):
        position, sent_at, checked_at = None, -math.inf, time.monotonic()
        yield server_sent_events.RETRY
        async for step in _with_first(first, steps):
            now = time.monotonic()
            if now - checked_at >= HEARTBEAT_SECONDS:
                if not may_listen():
                    yield server_sent_events.write_problem(401, terms.REVOKED, position)
                    return
                checked_at = now
            if not isinstance(step, Signal):
                position = step.position
            text = server_sent_events.write(step, position, form)
            if not text and now - sent_at >= HEARTBEAT_SECONDS:
                text = server_sent_events.write_position(position)
            if text:
                yield text
                sent_at = now


async def _with_first(first: Step, steps: AsyncIterator[Step]) -> AsyncIterator[Step]:
    yield first
    async for step in steps:
        yield step
