"""An event as it is shown to outsiders."""

from __future__ import annotations

import json

from db import EventRow
from tasks.events import Event
from tests.documents import read, validator

CREATED = "2026-11-23T09:00:00.000000Z"
FAILED = "2026-11-23T09:00:01.000005Z"
ROW = EventRow("ev_1", "acct_9", "order.created", CREATED, None, FAILED, "m", '{"total":[1]}')


def test_an_event_is_the_documented_object() -> None:
    """Its attributes in their order, its times as an outcome has them, and nothing inside."""
    assert Event.from_row(ROW).to_json().decode() == (
        '{"accountId":"acct_9","completedAt":null,"createdAt":"2026-11-23T09:00:00.000000Z",'
        '"eventType":"order.created","failedAt":"2026-11-23T09:00:01.000005Z","id":"ev_1",'
        '"payload":{"total":[1]}}'
    )


def test_an_event_says_which_way_it_was_settled() -> None:
    """By the one time that is set."""
    completed = ROW._replace(completed_at=FAILED, failed_at=None)
    shown = json.loads(Event.from_row(completed).to_json())
    assert (shown["completedAt"], shown["failedAt"]) == ("2026-11-23T09:00:01.000005Z", None)


def test_an_event_is_as_described() -> None:
    """Settled or pending, whatever its payload is."""
    schema = validator(read("schemas/event.schema.json"))
    for row in (ROW, ROW._replace(failed_at=None), ROW._replace(payload=None)):
        schema.validate(json.loads(Event.from_row(row).to_json()))
