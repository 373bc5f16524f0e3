"""Whole objects of each kind, for the schemas and for the queue door."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from cli.contracts.examples import (
    COMPLETE,
    EVENTS,
    FAIL,
    MESSAGE_ID,
    NEW_EVENT,
    SETTLED,
    UNKNOWN_STATUS,
    created_events,
    event,
    field_error,
    outcomes,
    problem,
)
from settle_client.names import QUEUE, SENT_AT, TASK

HEADERS = {
    "lang": "py",
    "task": TASK,
    "id": MESSAGE_ID,
    "root_id": MESSAGE_ID,
    "ignore_result": True,
    SENT_AT: round(SETTLED.timestamp(), 3),
}
_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
ONE_UPDATE = [[], COMPLETE, _EMBED]
SEVERAL_UPDATES = [[[COMPLETE, FAIL]], {}, _EMBED]


def whole() -> dict[str, list[Any]]:
    """Return examples of each schema, by its name."""
    return {
        "StatusUpdate": [COMPLETE, FAIL],
        "MessageBody": [ONE_UPDATE, SEVERAL_UPDATES],
        "MessageHeaders": [HEADERS],
        "Envelope": [_envelope()],
        "Outcome": outcomes(),
        "OutcomeEntry": [{"outcome": _compact(outcome)} for outcome in outcomes()[:1]],
        "Problem": [problem(400, f"[1].{field_error(UNKNOWN_STATUS)}")],
        "DeadLetter": [_dead_letter()],
        "Event": [event(id_) for id_ in EVENTS],
        "NewEvent": [NEW_EVENT],
        "CreatedEvent": created_events(),
    }


def _envelope() -> dict[str, Any]:
    return {
        "body": b64encode(json.dumps(ONE_UPDATE).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": HEADERS,
        "properties": {
            "correlation_id": MESSAGE_ID,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": f"{MESSAGE_ID}-1",
        },
    }


def _dead_letter() -> dict[str, Any]:
    delivery = {
        "queue": QUEUE,
        "exchange": "",
        "redelivered": False,
        "deliveriesToDeadWorkers": 0,
    }
    return {
        "messageId": MESSAGE_ID,
        "index": "0",
        "reason": field_error(UNKNOWN_STATUS),
        "time": outcomes()[0]["completedAt"],
        "delivery": json.dumps(delivery),
        "raw": json.dumps(UNKNOWN_STATUS),
    }


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
