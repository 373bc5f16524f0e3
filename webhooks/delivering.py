"""Endpoint after endpoint: what is next is signed, sent, and recorded as delivered or tried again.

Each endpoint has one request at a time and waits for nobody else's. Those that failed last never
take more than half of the slots, so that endpoints that hang hold up no others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from service.channel import ChannelAwayError
from webhooks import metrics
from webhooks.judging import Consequence, State, judge_failure, judge_success
from webhooks.payloads import payload_of
from webhooks.queues import UNKNOWN_SECONDS
from webhooks.signing import message_id, sign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webhooks.endpoints import Endpoint, Endpoints
    from webhooks.judging import Answer, Limits
    from webhooks.posting import Poster
    from webhooks.queues import Batch, Queues, Waiting
    from webhooks.stopping import Stop

logger = logging.getLogger(__name__)

# How soon another process's outcomes are seen.
IDLE_SECONDS = 0.1
PAUSE_SECONDS = 0.5
USER_AGENT = f"settle/{version('settle')}"


class Tried(NamedTuple):
    """What became of a try."""

    consequence: Consequence
    delivered: Sequence[Waiting] = ()
    aside: Sequence[Waiting] = ()


class EndpointSlots:
    """The slots in which endpoints are served."""

    def __init__(
        self,
        endpoints: Endpoints,
        queues: Queues,
        poster: Poster,
        limits: Limits,
        stop: Stop,
        *,
        slots: int,
    ) -> None:
        """Deliver nothing yet.

        Args:
            endpoints: To whom.
            queues: What.
            poster: By which connections.
            limits: How patiently.
            stop: Until when.
            slots: To how many at the same time.
        """
        self._endpoints, self._queues, self._poster = endpoints, queues, poster
        self._limits, self._stop, self._slots = limits, stop, slots
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing: set[asyncio.Task[None]] = set()
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Look for something to deliver."""
        self._awake.set()

    async def run(self) -> None:
        """Deliver, until asked to stop; what is under way goes on."""
        while not self._stop.is_asked:
            try:
                has_begun = await self._begin_some()
            except ChannelAwayError:
                await self._stop.pause(PAUSE_SECONDS)
                continue
            if not has_begun:
                await self._wait()

    async def finish(self, seconds: float) -> None:
        """Wait for what is under way, for some time; what is left is tried again by others."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _begin_some(self) -> bool:
        free = self._slots - len(self._tasks)
        failing = min(free, max(1, self._slots // 2) - len(self._failing))
        if free <= 0:
            return False
        began = time.monotonic()
        taken, failed = await self._queues.claim(free, max(0, failing))
        # Both were asked for at once: those that are too many are in time all the same.
        for name in (*taken, *failed):
            task = asyncio.create_task(self._serve(name, began), name=name)
            self._tasks.add(task)
            task.add_done_callback(self._end)
            if name in failed:
                self._failing.add(task)
        return bool(taken or failed)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._failing.discard(task)
        self._awake.set()

    async def _wait(self) -> None:
        self._awake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_SECONDS):
                await self._awake.wait()

    async def _serve(self, name: str, began: float) -> None:
        try:
            endpoint = self._endpoints.find(name)
            if endpoint is None:
                tried = Tried(Consequence(UNKNOWN_SECONDS, {"error": "it is not in the file"}))
            else:
                batch = await self._queues.take(endpoint)
                if batch is None or self._queues.is_late(began):
                    return
                tried = await self._try(endpoint, batch)
            await self._record(name, tried, began)
        except ChannelAwayError:
            # Its lease ends, and it is tried again.
            return
        except Exception:
            logger.exception("endpoint not served", extra={"endpoint": name})

    async def _record(self, name: str, tried: Tried, began: float) -> None:
        """Record what became of a try, for as long as it is ours to do so."""
        while True:
            try:
                await self._queues.finish(
                    name, tried.consequence, delivered=tried.delivered, aside=tried.aside
                )
            except ChannelAwayError:
                if self._queues.is_over(began):
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def _try(self, endpoint: Endpoint, batch: Batch) -> Tried:
        # Those of an account that was taken from the endpoint since are sent to nobody.
        outcomes = [each for each in batch.outcomes if endpoint.takes(each.account_id)]
        state = State.of(batch.state)
        if not outcomes:
            return Tried(Consequence(0, {}, ("last",)), batch.outcomes)
        answer = await self._post(endpoint, outcomes)
        now = time.time()
        if answer.is_delivered:
            if state.failures:
                logger.warning("endpoint takes outcomes again", extra={"endpoint": endpoint.name})
            return Tried(judge_success(state, endpoint.max_outcomes, now), batch.outcomes)
        consequence = judge_failure(state, answer, len(outcomes), self._limits, now)
        self._say_failing(endpoint, state, answer, consequence)
        if state.is_in_doubt and answer.is_refusal and consequence.disabled is None:
            return await self._compare(endpoint, Tried(consequence), outcomes)
        return Tried(consequence)

    async def _compare(
        self, endpoint: Endpoint, tried: Tried, outcomes: Sequence[Waiting]
    ) -> Tried:
        """Find out whether one outcome is refused while another event's is taken."""
        if len(outcomes) > 1:
            return tried
        (refused,) = outcomes
        other = await self._queues.find_other(endpoint, refused)
        if other is None:
            return tried
        if not (await self._post(endpoint, [other])).is_delivered:
            return tried
        # It may have come to itself between the two.
        answer = await self._post(endpoint, [refused])
        success = judge_success(State(), endpoint.max_outcomes, time.time())
        if answer.is_delivered:
            return Tried(success, [refused, other])
        if not answer.is_refusal:
            return tried._replace(delivered=[other])
        self._say_aside(endpoint, refused, answer)
        return Tried(success, [other], [refused])

    async def _post(self, endpoint: Endpoint, outcomes: Sequence[Waiting]) -> Answer:
        payload = payload_of(outcomes, endpoint.format)
        message = message_id(endpoint.name, outcomes)
        headers = {
            "content-type": payload.media_type,
            "user-agent": USER_AGENT,
            **sign(payload.text, message, endpoint.secrets, datetime.now(UTC)),
        }
        with metrics.REQUEST_SECONDS.time():
            answer = await self._poster.post(endpoint.url, headers, payload.text)
        status = answer.status
        kind = "none" if status is None else f"{status // 100}xx"
        metrics.REQUESTS.labels(kind if kind in metrics.ANSWERS else "none").inc()
        if answer.is_delivered:
            metrics.DELIVERED.inc(len(outcomes))
        return answer

    def _say_failing(
        self, endpoint: Endpoint, state: State, answer: Answer, consequence: Consequence
    ) -> None:
        fields = {"endpoint": endpoint.name, "error": str(answer)}
        if consequence.disabled is not None:
            metrics.DISABLED_NOW.inc()
            fix = f"settle webhooks enable {endpoint.name}"
            logger.error(
                "endpoint disabled", extra={**fields, "error": consequence.disabled, "fix": fix}
            )
        elif not state.failures:
            logger.warning("endpoint fails", extra=fields)

    def _say_aside(self, endpoint: Endpoint, outcome: Waiting, answer: Answer) -> None:
        metrics.SET_ASIDE.labels("refused").inc()
        fields = {"endpoint": endpoint.name, "event_id": outcome.event, "error": str(answer)}
        logger.error("outcome set aside", extra=fields)
