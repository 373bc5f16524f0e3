"""The operations at `/v2/api/events`, with examples that can be executed."""

from __future__ import annotations

import json
from typing import Any

from cli.contracts import listing, problems
from cli.contracts.examples import (
    COMPLETE,
    EVENTS,
    EXCHANGES,
    NEW_EVENT,
    TAKEN_ID,
    UNKNOWN_STATUS,
    created_events,
    event,
    field_error,
    problem,
)
from gateway import terms
from settle_client.moments import timestamp
from tasks.new_events import MAX_EVENTS

_SETTLED = {"id": "ev_3", "status": "completed"}
_UNKNOWN = {"id": "ev_404", "status": "completed"}


def operations(place: str) -> dict[str, Any]:
    """Return the operation of each method."""
    return {
        "get": listing.operation(place),
        "patch": _settle_event(place),
        "post": _create_events(place),
    }


def _settle_event(place: str) -> dict[str, Any]:
    exchange = EXCHANGES["oneUpdate"]
    return {
        "operationId": "settleEvent",
        "tags": ["events"],
        "summary": "Set status of one event",
        "description": "Settles an event that is pending, once only. The request that settled it, "
        "sent again under its key, is answered as it was.",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Becomes the message id.",
                "schema": {"type": "string", "pattern": terms.MESSAGE_ID},
                "examples": {
                    "oneUpdate": {"summary": exchange.summary, "value": exchange.message_id}
                },
            }
        ],
        "requestBody": {
            "required": True,
            "content": _json(
                {"$ref": f"{place}StatusUpdate"},
                {"oneUpdate": {"summary": exchange.summary, "value": COMPLETE}},
            ),
        },
        "responses": {
            "200": {
                "description": "The outcome, whose `updated` is true.",
                "content": _json(
                    {"$ref": f"{place}Outcome"},
                    {"oneUpdate": {"summary": exchange.summary, "value": exchange.outcomes[0]}},
                ),
                "links": {
                    "event": {
                        "operationId": "getEvent",
                        "description": "The event, as it is now.",
                        "parameters": {"id": "$response.body#/id"},
                    }
                },
            },
            "400": _refused(
                "The update is not valid.",
                unknownStatus=("Another status", UNKNOWN_STATUS, field_error(UNKNOWN_STATUS)),
            ),
            "404": _refused(
                "There is no such event, or it is of another account.",
                404,
                unknown=("An unknown event", _UNKNOWN, terms.NO_SUCH_UPDATE),
            ),
            "409": _refused(
                "The event is settled already, or the database keeps it as it is.",
                409,
                settled=("A settled event", _SETTLED, _settled_already()),
            ),
            **problems.shared(401, 408, 413, 415, 429, 500, 503),
        },
    }


def _create_events(place: str) -> dict[str, Any]:
    new, there, taken = created_events()
    bodies = {
        "newEvent": ("An event that is new", [NEW_EVENT], [new]),
        "sameEvent": ("One that is there, with the same content", [event("ev_1")], [there]),
        "takenId": ("An id that another event has", [TAKEN_ID], [taken]),
    }
    return {
        "operationId": "createEvents",
        "tags": ["events"],
        "summary": "Create pending events",
        "description": "An addition to the documented API. Creates each event whose id is not "
        "there, and answers every one in the order of the request. To send the same again is "
        "safe. An id whose event has other content is a conflict for that one alone.",
        "requestBody": {
            "required": True,
            "content": _json(
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_EVENTS,
                    "items": {"$ref": f"{place}NewEvent"},
                },
                {
                    name: {"summary": text, "value": sent}
                    for name, (text, sent, _) in bodies.items()
                },
            ),
        },
        "responses": {
            "200": {
                "description": "What became of each event, in their order.",
                "content": _json(
                    {"type": "array", "minItems": 1, "items": {"$ref": f"{place}CreatedEvent"}},
                    {
                        name: {"summary": text, "value": answer}
                        for name, (text, _, answer) in bodies.items()
                    },
                ),
                "links": {
                    "settle": {
                        "operationId": "getEvent",
                        "description": "The first of the events, as it is now.",
                        "parameters": {"id": "$response.body#/0/id"},
                    }
                },
            },
            "400": _refused(
                "The request is not valid, and nothing is created.",
                empty=("No event", [], f"a request creates 1 to {MAX_EVENTS:,} events, this one 0"),
            ),
            "403": problems.response(
                "The key is not for an event's account, or the service may not create events.",
                {
                    "otherAccount": {
                        "summary": "Another account",
                        "value": problem(403, terms.other_account(0)),
                    },
                    "mayNot": {
                        "summary": "The service may not",
                        "value": problem(403, terms.MAY_NOT_CREATE),
                    },
                },
            ),
            **problems.shared(401, 408, 413, 415, 429, 500, 503),
        },
    }


def _settled_already() -> str:
    row = EVENTS["ev_3"]
    return terms.settled_already("completed", timestamp(row.completed_at or ""))


def _refused(
    description: str, status: int = 400, **examples: tuple[str, Any, str]
) -> dict[str, Any]:
    return problems.response(
        description,
        {
            name: {
                "summary": summary,
                "value": problem(status, message),
                "x-request-body": json.dumps(body),
            }
            for name, (summary, body, message) in examples.items()
        },
    )


def _json(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    return {terms.JSON: {"schema": schema, "examples": examples}}
