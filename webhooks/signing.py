"""What says of a request who has sent it, by Standard Webhooks (standardwebhooks.com)."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from standardwebhooks import Webhook

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from pydantic import SecretStr

    from webhooks.queues import Waiting


def message_id(endpoint: str, outcomes: Sequence[Waiting]) -> str:
    """Return by what a request is known: the same one whenever the same outcomes are sent."""
    place = f"{endpoint} {outcomes[0].id} {outcomes[-1].id}"
    return "msg_" + urlsafe_b64encode(hashlib.sha256(place.encode()).digest()[:18]).decode()


def sign(text: str, message: str, secrets: Iterable[SecretStr], moment: datetime) -> dict[str, str]:
    """Return the headers that sign a request, once with each secret.

    Args:
        text: The body.
        message: Its id.
        secrets: Of the endpoint.
        moment: Of this try, in UTC.
    """
    signatures = (
        Webhook(secret.get_secret_value()).sign(message, moment, text) for secret in secrets
    )
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
