"""How endpoints stand, into the metrics, every few seconds."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from service.channel import ChannelAwayError
from webhooks import metrics
from webhooks.looking import look

if TYPE_CHECKING:
    from service.channel import Channel
    from webhooks.endpoints import Endpoints
    from webhooks.stopping import Stop

SAMPLE_SECONDS = 5.0
# Longer than Redis is waited for.
SILENT_SECONDS = 60.0
STATES = ("delivering", "failing", "disabled")


class Pulse:
    """Whether the event loop goes round: what waits for a server does not stop it."""

    def __init__(self) -> None:
        self._beaten_at = time.monotonic()

    def beat(self) -> None:
        """Say that it does."""
        self._beaten_at = time.monotonic()

    def judge(self) -> tuple[bool, str]:
        """Return whether it does, and why it is thought so."""
        seconds = time.monotonic() - self._beaten_at
        return seconds < SILENT_SECONDS, f"the event loop went round {seconds:.0f} s ago"


async def sample(channel: Channel, endpoints: Endpoints, pulse: Pulse, stop: Stop) -> None:
    """Look, again and again, until asked to stop."""
    while not stop.is_asked:
        pulse.beat()
        # What was seen last stays; the log says that Redis is away.
        with suppress(ChannelAwayError):
            await _sample_once(channel, endpoints)
        await stop.pause(SAMPLE_SECONDS)


async def _sample_once(channel: Channel, endpoints: Endpoints) -> None:
    standings = await look(channel, (endpoint.name for endpoint in endpoints.all()))
    states = [standing.state for standing in standings]
    for state in STATES:
        metrics.ENDPOINTS.labels(state).set(states.count(state))
    metrics.WAITING.set(sum(standing.waiting for standing in standings))
    metrics.KEPT.set(sum(standing.kept for standing in standings))
    ages = (each.oldest_seconds or 0.0 for each in standings if each.state != "disabled")
    metrics.OLDEST_SECONDS.set(max(ages, default=0.0))
