"""What outsiders see of the outcomes over HTTP: paths, limits, and what is said.

As `gateway.terms` is for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

OUTCOMES: Final = "/v2/api/outcomes"
EVENT_STREAM: Final = "text/event-stream"
OLDEST: Final = "oldest"
AS_THEY_ARE: Final = "outcomes"
CLOUD_EVENTS: Final = "cloudevents"
FORMATS: Final = (AS_THEY_ARE, CLOUD_EVENTS)
POSITION: Final = r"^[0-9]{1,19}-[0-9]{1,19}$"
PLACE: Final = r"^(oldest|[0-9]{1,19}-[0-9]{1,19})$"
LIMIT: Final = 100
MAX_LIMIT: Final = 1_000
MAX_WAIT_SECONDS: Final = 60

# A proxy is to pass each event on as it comes.
NOT_KEPT: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
NOT_OF_A_STREAM: Final = (
    "limit, wait: are for a page of JSON: leave them out, or ask for application/json"
)
AWAY: Final = "the result channel does not answer: try again"
STAYS: Final = "the result channel does not answer: outcomes follow when it does"
CUT: Final = "outcomes were not taken fast enough: ask again, from the id of this event on"
STOPPING: Final = "the service stops: ask again, from the id of this event on"
REVOKED: Final = "Authorization: the API key is not known any more, or for other accounts now"
GAP: Final = (
    "outcomes were trimmed from the stream before they were read here: "
    "what is left follows the id of this event"
)


def not_a_position(name: str) -> str:
    """Say that something is no position."""
    return f"{name}: must be the `after` of an earlier answer, the id of an event, or {OLDEST}"


def unknown_parameter(name: str, names: Iterable[str]) -> str:
    """Say that there is no such parameter."""
    return f"{name[:100]}: there is no such parameter: there are {', '.join(names)}"


def trimmed(begin: str) -> str:
    """Say that outcomes are gone, and where to begin."""
    return (
        "outcomes behind this position were trimmed from the stream, or may have been: "
        f"begin with after={begin}"
    )
