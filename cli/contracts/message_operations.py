"""What the HTTP door has of messages that are answered later: how to ask for it, and where.

As `cli.contracts.operations` is for events.
"""

from __future__ import annotations

from typing import Any

from cli.contracts import problems
from cli.contracts.examples import EXCHANGES, outcomes, problem
from gateway.messages import terms
from gateway.requests.preferences import ASYNC
from gateway.terms import JSON

MESSAGE_ID = "5f0c9a52-6a5b-4f0e-9d5c-2f6f1b0d7a11"
PATH = terms.MESSAGE.format(messageId=MESSAGE_ID)


def paths(place: str) -> dict[str, Any]:
    """Return the path; it refers to schemas at a place such as `#/components/schemas/`."""
    return {terms.MESSAGE: {"get": _get_message(place)}}


def answer_later(operation: dict[str, Any], place: str) -> dict[str, Any]:
    """Let an operation that settles take the preference, too."""
    prefer = {
        "name": "Prefer",
        "in": "header",
        "description": f"With `{ASYNC}` the updates go to the queue, as one message, and the "
        "answer is 202, with where its outcomes will be. With a key of several accounts each "
        "update then names its `accountId`.",
        "schema": {"type": "string"},
        "examples": {
            name: {"summary": "At once, as without", "value": "return=representation"}
            for name in EXCHANGES
        },
    }
    accepted = {
        "description": "The broker has the message.",
        "headers": {
            "Location": _header("Where its outcomes will be.", PATH),
            "Preference-Applied": _header("That the preference is obeyed.", ASYNC),
        },
        "content": {JSON: {"schema": _state_schema(place), "examples": _waiting()}},
    }
    responses = operation["responses"]
    return {
        **operation,
        "parameters": [*operation["parameters"], prefer],
        "responses": {
            "200": responses["200"],
            "202": accepted,
            "400": responses["400"],
            "409": problems.response(
                "Another request was sent under this key.",
                {"taken": {"value": problem(409, terms.TAKEN)}},
            ),
            **{status: one for status, one in responses.items() if status not in ("200", "400")},
        },
    }


def _get_message(place: str) -> dict[str, Any]:
    schema = _state_schema(place)
    return {
        "operationId": "getMessage",
        "tags": ["outcomes"],
        "summary": "Get the outcomes of a message",
        "description": f"Of one that was sent with `Prefer: {ASYNC}` within {terms.KEPT}, by a "
        "key that may see the accounts of its updates.",
        "parameters": [
            {
                "name": "messageId",
                "in": "path",
                "required": True,
                "description": "As the `Location` of the answer has it.",
                "schema": {"type": "string"},
                "examples": {"one": {"value": MESSAGE_ID}},
            }
        ],
        "responses": {
            "200": {
                "description": "All of its outcomes, in the order of its updates.",
                "content": {JSON: {"schema": schema, "examples": _whole()}},
            },
            "202": {
                "description": "Those that there are; others are awaited.",
                "headers": {"Retry-After": {"$ref": "#/components/headers/Retry-After"}},
                "content": {JSON: {"schema": schema, "examples": _waiting()}},
            },
            "404": problems.response(
                "There is no such message, or it is not for this key.",
                {
                    "unknown": {
                        "summary": "An unknown message",
                        "value": problem(404, terms.NO_MESSAGE),
                        "x-request-path": terms.MESSAGE.format(messageId="unknown"),
                    }
                },
            ),
            "410": problems.response(
                "Outcomes of it were trimmed from the stream before they were looked for.",
                {"trimmed": {"value": problem(410, terms.GONE)}},
            ),
            **problems.shared(401, 429, 500, 503),
        },
    }


def _state_schema(place: str) -> dict[str, Any]:
    properties = {
        "messageId": {"type": "string"},
        "updates": {
            "type": "integer",
            "minimum": 1,
            "description": "How many it carries.",
        },
        "awaited": {
            "type": "integer",
            "minimum": 0,
            "description": "How many of these have no outcome yet.",
        },
        "outcomes": {"type": "array", "items": {"$ref": f"{place}PublishedOutcome"}},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _whole() -> dict[str, Any]:
    state = {"messageId": MESSAGE_ID, "updates": 1, "awaited": 0, "outcomes": outcomes()[:1]}
    return {"whole": {"summary": "Answered", "value": state}}


def _waiting() -> dict[str, Any]:
    state = {"messageId": MESSAGE_ID, "updates": 1, "awaited": 1, "outcomes": []}
    return {"waiting": {"summary": "Not answered yet", "value": state}}


def _header(description: str, example: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"description": description, "required": True, "schema": schema, "example": example}
