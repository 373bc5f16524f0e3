"""What a request says, and that it verifies."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from tests.webhooks import OTHER_SECRET, SECRET
from webhooks.payloads import payload_of
from webhooks.queues import Waiting
from webhooks.signing import message_id, sign

OUTCOME = '{"id": "ev_1", "messageId": "m_1", "index": 3, "note": "ä\\u2028"}'
WAITING = [
    Waiting("1-0", "ev_1", "1764180000123-4", OUTCOME),
    Waiting("2-0", "", "1764180001000-0", '"no JSON"'),
]


def test_outcomes_are_sent_as_they_are() -> None:
    """In the order of the queue, with when the last of them was published."""
    payload = payload_of(WAITING, "outcomes")
    assert payload.media_type == "application/json"
    assert OUTCOME in payload.text
    assert json.loads(payload.text) == {
        "type": "outcomes",
        "timestamp": "2025-11-26T18:00:01.000000Z",
        "data": {"outcomes": [json.loads(OUTCOME), "no JSON"]},
    }


def test_or_as_cloudevents() -> None:
    """One that is repeated has the same id; what has none of its own has that of its entry."""
    payload = payload_of(WAITING, "cloudevents")
    assert payload.media_type == "application/cloudevents-batch+json"
    first, second = json.loads(payload.text)
    assert first == {
        "specversion": "1.0",
        "id": "m_1/3",
        "source": "/v2/api/events",
        "type": "settle.event.outcome",
        "subject": "ev_1",
        "time": "2025-11-26T18:00:00.123000Z",
        "datacontenttype": "application/json",
        "data": json.loads(OUTCOME),
    }
    assert (second["id"], second["data"], "subject" in second) == (
        *("1764180001000-0", "no JSON", False),
    )


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
def test_a_request_verifies_with_either_secret(secret: str) -> None:
    """By the library of the standard; and no more when a letter of it was changed."""
    text = payload_of(WAITING, "outcomes").text
    message = message_id("one", WAITING)
    secrets = [SecretStr(SECRET), SecretStr(OTHER_SECRET)]
    headers = sign(text, message, secrets, datetime.now(UTC))
    assert Webhook(secret).verify(text, headers) == json.loads(text)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(text.replace("ev_1", "ev_2"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(text, {**headers, "webhook-id": "msg_other"})


def test_the_id_is_that_of_what_is_sent() -> None:
    """The same for the same outcomes to the same endpoint, and no other's."""
    message = message_id("one", WAITING)
    assert message == message_id("one", list(WAITING))
    others = {message_id("two", WAITING), message_id("one", WAITING[:1]), message}
    assert len(others) == 3
    assert "." not in message
