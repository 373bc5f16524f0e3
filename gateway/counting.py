"""Counts and times the requests of clients, whatever becomes of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway import metrics, terms
from gateway.messages import terms as message_terms
from gateway.outcomes import terms as outcome_terms

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# How often they ask says nothing of how clients are served.
_OF_WATCHERS = (terms.HEALTH, terms.METRICS)
_BY_METHOD = {
    "GET": "listEvents",
    "HEAD": "listEvents",
    "PATCH": "settleEvent",
    "POST": "createEvents",
}
_BY_PATH = {terms.BATCH: "settleEvents", outcome_terms.OUTCOMES: "listOutcomes"}
_BY_START = {f"{terms.EVENTS}/": "getEvent", f"{message_terms.MESSAGES}/": "getMessage"}


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
            operation = operation_of(scope["method"], scope["path"])
            if is_timed:
                seconds = time.perf_counter() - started
                metrics.REQUEST_SECONDS.labels(operation).observe(seconds)
            counted = status if status in metrics.STATUSES else "other"
            metrics.REQUESTS.labels(operation, counted).inc()


def operation_of(method: str, path: str) -> str:
    """Return which operation of the contract a request is for, whatever comes of it."""
    if path == terms.EVENTS:
        return _BY_METHOD.get(method, "other")
    if path in _BY_PATH:
        return _BY_PATH[path]
    begun = (name for start, name in _BY_START.items() if path.startswith(start))
    return next(begun, "other")
