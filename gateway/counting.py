"""Counts and times the requests of clients, whatever becomes of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway import metrics, outcome_terms, terms

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# How often they ask says nothing of how clients are served.
_OF_WATCHERS = (terms.HEALTH, terms.METRICS)
_REQUESTS = {status: metrics.REQUESTS.labels(status) for status in metrics.STATUSES}


class Counting:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and count it."""
        if scope["type"] != "http" or scope["path"] in _OF_WATCHERS:
            await self._app(scope, receive, send)
            return
        status = "500"

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        started = time.perf_counter()
        # Whoever listens is not served the worse for how long.
        is_timed = scope["path"] != outcome_terms.OUTCOMES
        metrics.REQUESTS_OPEN.inc(is_timed)
        try:
            await self._app(scope, receive, note_status)
        finally:
            metrics.REQUESTS_OPEN.dec(is_timed)
            if is_timed:
                metrics.REQUEST_SECONDS.observe(time.perf_counter() - started)
            _REQUESTS.get(status, _REQUESTS["other"]).inc()
