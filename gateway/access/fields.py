"""`RateLimit` and `RateLimit-Policy`: what a client may still do, in the header of its answer.

As structured fields of the IETF's draft-ietf-httpapi-ratelimit-headers-11. A request may be held
to the limits of many accounts: for each policy, the one of which least is left is shown. Its
partition key (`pk`) is then the account. `updates` is a unit of our own: without one, clients
would take the figures for requests.
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.datastructures import MutableHeaders

from gateway.access import terms
from gateway.access.buckets import empty_seconds, left_in

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gateway.access.policies import Due

# Where a request keeps what is to be shown, from whoever limits it to the middleware.
SHOWN = "settle.limits"


class Limit(NamedTuple):
    """How a policy stands after a request."""

    due: Due
    left: int
    wait_seconds: int

    @classmethod
    def of(cls, due: Due, missing_seconds: float) -> Limit:
        """Tell it by a bucket, and in how many seconds that is full again."""
        left = left_in(due.claim, missing_seconds)
        seconds = missing_seconds if left else empty_seconds(due.claim, missing_seconds)
        return cls(due, left, max(math.ceil(seconds), 1))


def show(scope: MutableMapping[str, Any], limits: Sequence[Limit]) -> None:
    """Have limits shown in the answer to a request."""
    shown: dict[str, Limit] = scope.setdefault(SHOWN, {})
    for limit in limits:
        known = shown.get(limit.due.policy)
        if known is None or _scarcity(limit) > _scarcity(known):
            shown[limit.due.policy] = limit


def _scarcity(limit: Limit) -> tuple[int, int]:
    return -limit.left, limit.wait_seconds


def policy_item(limit: Limit) -> str:
    """Write an element of `RateLimit-Policy`."""
    unit = "" if limit.due.policy == terms.KEY_REQUESTS else f';qu="{terms.UPDATES}"'
    quota = f"q={limit.due.claim.per_second}{unit};w={terms.WINDOW_SECONDS}"
    return f'"{limit.due.policy}";{quota}{_partition(limit.due)}'


def limit_item(limit: Limit) -> str:
    """Write an element of `RateLimit`."""
    return f'"{limit.due.policy}";r={limit.left};t={limit.wait_seconds}{_partition(limit.due)}'


def _partition(due: Due) -> str:
    if due.account is None:
        return ""
    return f";pk=:{base64.b64encode(due.account.encode()).decode()}:"


class RateLimitFields:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and show its limits if it has any."""

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start" and (shown := scope.get(SHOWN)):
                headers = MutableHeaders(scope=message)
                headers[terms.POLICY_FIELD] = ", ".join(map(policy_item, shown.values()))
                headers[terms.LIMIT_FIELD] = ", ".join(map(limit_item, shown.values()))
            await send(message)

        await self._app(scope, receive, send_with_fields)
