"""What outsiders see of messages over HTTP: where they are, and what is said of them."""

from __future__ import annotations

from typing import Final

import msgspec

MESSAGES: Final = "/v2/api/messages"
MESSAGE: Final = f"{MESSAGES}/{{messageId}}"
KEPT: Final = "24 hours"

TAKEN: Final = "Idempotency-Key: is that of another request: choose another, best a random UUID"
# Of a path they are what clients leave out, also where they are percent-encoded.
DOT_SEGMENTS: Final = (".", "..")
NO_ADDRESS: Final = "Idempotency-Key: may not be . or .. with respond-async: no address ends so"
BROKER_AWAY: Final = "the broker does not answer: try again, with the same Idempotency-Key"
NOT_REPLICATED: Final = (
    "too few replicas of the broker have the message: try again, with the same Idempotency-Key"
)
NO_MESSAGE: Final = (
    f"there is no such message: it was sent more than {KEPT} ago, or never with respond-async"
)
GONE: Final = (
    "outcomes of this message were trimmed from the stream: "
    "send the request again, with the same Idempotency-Key"
)


class MessageState(msgspec.Struct, frozen=True, rename="camel"):
    """How a message stands: how many updates it carries, and what has become of them."""

    message_id: str
    updates: int
    awaited: int
    outcomes: list[msgspec.Raw]
