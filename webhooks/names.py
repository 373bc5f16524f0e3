"""What is in Redis, by name: all of it under one prefix, beside the stream of outcomes."""

from __future__ import annotations

from typing import Final

from settle_client.names import OUTCOMES

GROUP: Final = "webhooks"
# One member for all processes: what one that died has left is found under it by the next.
MEMBER: Final = "router"

PREFIX: Final = f"{OUTCOMES}.webhooks"
# Which process routes.
ROUTER: Final = f"{PREFIX}.router"
# When which endpoint is next: those that take what they are sent, and those that failed last.
DUE: Final = f"{PREFIX}.due"
RETRIES: Final = f"{PREFIX}.retries"
# All that outcomes were ever queued for: what is out of the file by now is found by it.
NAMES: Final = f"{PREFIX}.names"


def queue_of(endpoint: str) -> str:
    """Return the stream of what waits for an endpoint."""
    return f"{PREFIX}.queue:{endpoint}"


def state_of(endpoint: str) -> str:
    """Return the hash that says how an endpoint stands."""
    return f"{PREFIX}.state:{endpoint}"


def kept_of(endpoint: str) -> str:
    """Return the stream of what was set aside for an endpoint."""
    return f"{PREFIX}.kept:{endpoint}"
