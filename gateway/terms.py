"""What outsiders see of the gateway besides the events: its paths, and what it says.

In one place, for the service that says it and for its contract (`cli.contracts`).
"""

from typing import Final

EVENTS: Final = "/v2/api/events"
BATCH: Final = "/v2/api/events/batch"
EVENT: Final = "/v2/api/events/{id}"
HEALTH: Final = "/healthz"
METRICS: Final = "/metrics"
CONTRACT: Final = "/openapi.json"
DOCS: Final = "/docs"

JSON: Final = "application/json"
MESSAGE_ID: Final = r"^[\x21-\x7e]{1,255}$"
RETRY_SOON: Final = {"Retry-After": "1"}
ASK_FOR_KEY: Final = {"WWW-Authenticate": "Bearer"}
# From a connection, or the first byte of a request, to its last.
RECEIVE_SECONDS: Final = 30.0
# Of the first line and all headers, with the empty line behind them.
MAX_HEAD_BYTES: Final = 2**16

BAD_MESSAGE_ID: Final = "Idempotency-Key: must be 1 to 255 visible ASCII characters, given once"
NO_KEY: Final = "Authorization: must be Bearer <API key>"
TWO_KEYS: Final = "Authorization: must be given once"
UNKNOWN_KEY: Final = "Authorization: the API key is not known"
NOT_LOCAL: Final = "Host: without API keys only requests to localhost are served"
NO_EVENT: Final = "there is no such event"
NOTHING_HERE: Final = f"there is nothing here: see GET {EVENTS}, PATCH {BATCH}"
NO_SUCH_UPDATE: Final = "there is no such event, or it is of another account"
NOT_JSON: Final = f"Content-Type: must be {JSON}"
ENCODED: Final = "Content-Encoding: must be identity: send the body as it is, not compressed"
PLAIN_ONLY: Final = {"Accept-Encoding": "identity"}
TOO_SLOW: Final = f"the request did not come within {RECEIVE_SECONDS:g} s"
NOT_HTTP: Final = "the request is not HTTP/1.1"
TOO_LONG_HEAD: Final = f"the head of a request may be {MAX_HEAD_BYTES:,} bytes"
STOPPING: Final = "the service stops: try again, with the same Idempotency-Key"
FAILED: Final = "the service has failed: its log says why"
DATABASE_AWAY: Final = (
    "the database does not answer in time: try again, with the same Idempotency-Key"
)
CHANNEL_AWAY: Final = (
    "the result channel does not answer in time: try again, with the same Idempotency-Key"
)
TOO_MUCH_WAITS: Final = "too many updates wait: try again"


MAY_NOT_LIST: Final = (
    "the service may not list these events: its database role needs SELECT on pending_events "
    "(docs/privileges.md)"
)
TOO_LONG_LIST: Final = (
    "the list passes over too many events: give status=pending, accountId or created_after, "
    "and follow the header Link instead of counting pages"
)
MAY_NOT_SETTLE: Final = (
    "the service may not read or settle events: its database role needs SELECT and UPDATE on them "
    "(docs/privileges.md); try again then, with the same Idempotency-Key"
)
MAY_NOT_CREATE: Final = (
    "the service may not create events: its database role needs INSERT on them (docs/privileges.md)"
)


def settled_already(status: str, moment: str) -> str:
    """Say that an event cannot be settled any more, and how it stands."""
    return f"the event is {status} already, since {moment}, and stays so: see GET {EVENT}"


def other_account(number: int) -> str:
    """Say that an event to create is of an account that the key does not open."""
    return f"[{number}].accountId: this API key is not for the events of this account"


def refused_by_database(reason: str) -> str:
    """Say that a value is to blame that only the database knows to be wrong."""
    return f"the database refuses a value of the request, and nothing is done: {reason}"


def unhealthy(fix: str) -> str:
    """Say that updates cannot be settled, and what to do; not what was found, for anybody asks."""
    return f"the database or the result channel does not answer as it should: {fix}"


def other_method(method: str, allowed: str) -> str:
    """Say that a path does not take a method."""
    return f"{method} is not for this path: it takes {allowed}"


def too_large(max_bytes: int) -> str:
    """Say that a body is too large."""
    return f"the body is larger than {max_bytes:,} bytes: send fewer updates at once"
