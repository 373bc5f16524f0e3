"""The operation that lists events, with examples that can be executed."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from cli.contracts import problems
from cli.contracts.examples import EVENTS, event, problem
from gateway import terms
from gateway.events.list_parameters import (
    MAX_PAGE,
    MAX_PAGE_SIZE,
    PAGE_SIZE,
    STATES,
    understand_parameters,
)
from settle_client.update import MAX_ID_CHARACTERS
from tasks.errors import NotUnderstoodError

_TEXT = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_ID_CHARACTERS,
    "pattern": r"^[^\x00]*$",
}
_MOMENT = {"type": "string", "format": "date-time"}
# As documented, but for the last four. For each: its schema, and what it means.
_PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "status": ({"type": "string", "enum": list(STATES)}, "How the events stand."),
    "event_type": (_TEXT, "What happened."),
    "page": (
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 1},
        "Which page. Where events are settled between two, pages skip some: follow `Link`.",
    ),
    "pageSize": (
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE},
        "How many events a page has.",
    ),
    "created_after": (_MOMENT, "Created later than this."),
    "created_before": (_MOMENT, "Created earlier than this."),
    "accountId": (_TEXT, "Of this account, as far as the key may see it."),
    "after": (
        {"type": "string"},
        "Where to go on, instead of a page: taken from `Link`.",
    ),
}
_LISTS = {
    "all": ("The first page", {}, list(EVENTS)),
    "pending": ("What is to be done", {"status": "pending", "pageSize": "100"}, ["ev_1", "ev_2"]),
    "ofAType": ("By what happened", {"event_type": "order.created", "status": "failed"}, ["ev_4"]),
}
_REFUSED = {
    "unknownStatus": ("There is no such status", {"status": "done"}),
    "pageSize": ("Too many at once", {"pageSize": "1001"}),
    "after": ("A cursor that was changed", {"after": "AAAA"}),
}


def operation(place: str) -> dict[str, Any]:
    """Return the operation; it refers to schemas at a place such as `#/components/schemas/`."""
    return {
        "operationId": "listEvents",
        "tags": ["events"],
        "summary": "List events",
        "description": "Lists events by status, type, account and time, oldest first. Whoever "
        "follows `Link` from page to page misses no event that was pending throughout.",
        "parameters": [
            {"name": name, "in": "query", "description": text, "schema": schema}
            for name, (schema, text) in _PARAMETERS.items()
        ],
        "responses": {
            "200": _page(place),
            "400": problems.response(
                "A parameter is not valid.",
                {
                    name: {
                        "summary": summary,
                        "value": problem(400, _refusal(given)),
                        "x-request-path": _path(given),
                    }
                    for name, (summary, given) in _REFUSED.items()
                },
            ),
            "403": problems.response(
                "The service may not list these events.",
                {"mayNot": {"value": problem(403, terms.MAY_NOT_LIST)}},
            ),
            **problems.shared(401, 429, 500, 503),
        },
    }


def _page(place: str) -> dict[str, Any]:
    return {
        "description": "A page of events, which may be empty.",
        "headers": {"Link": {"$ref": "#/components/headers/Link"}},
        "content": {
            terms.JSON: {
                "schema": {"type": "array", "items": {"$ref": f"{place}Event"}},
                "examples": {
                    name: {
                        "summary": summary,
                        "value": [event(id_) for id_ in ids],
                        "x-request-path": _path(given),
                    }
                    for name, (summary, given, ids) in _LISTS.items()
                },
            }
        },
    }


def _path(given: dict[str, str]) -> str:
    return f"{terms.EVENTS}?{urlencode(given)}".rstrip("?")


def _refusal(given: dict[str, str]) -> str:
    try:
        understand_parameters(list(given.items()), None)
    except NotUnderstoodError as error:
        return str(error)
    raise AssertionError(given)
