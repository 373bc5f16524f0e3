"""The operation of the HTTP door that gives outcomes: what is asked, and what is answered.

As `cli.contracts.operations` is for events.
"""

from __future__ import annotations

from typing import Any

from cli.contracts import problems
from cli.contracts.examples import outcomes, problem
from gateway.outcomes import terms
from gateway.outcomes.queries import MESSAGE_ID_LENGTH, NAMES, REASONS
from gateway.terms import JSON

POSITION = "1764147600000-0"
BEGIN = "oldest"
# As the service says it, word for word.
BAD_QUERIES = {
    "notAPosition": ("Not a position", "after=yesterday", terms.not_a_position("after")),
    "unknownParameter": (
        "A parameter that there is not",
        "status=failed",
        terms.unknown_parameter("status", NAMES),
    ),
    "unknownFormat": (
        "No such format",
        "format=xml",
        f"format: must be {' or '.join(terms.FORMATS)}, got 'xml'",
    ),
    "tooMany": (
        "More than a page may have",
        "limit=5000",
        f"limit: must be a number from 1 to {terms.MAX_LIMIT:,}, got '5000'",
    ),
}
CLOUD_EVENT = {
    "type": "object",
    "description": "With `format=cloudevents`; an outcome is its data.",
    "properties": {"specversion": {"const": "1.0"}, "data": {}},
    "required": ["specversion", "id", "source", "type", "time", "data"],
}
_STREAM = "\n".join(
    [
        "retry: 1000",
        "",
        f"id: {POSITION}",
        'data: {"id": "ev_1", "updated": true, …}',
        "",
        f"id: {POSITION}",
        "",
    ]
)


def paths(place: str) -> dict[str, Any]:
    """Return the path; it refers to schemas at a place such as `#/components/schemas/`."""
    return {terms.OUTCOMES: {"get": _list_outcomes(place)}}


def _list_outcomes(place: str) -> dict[str, Any]:
    return {
        "operationId": "listOutcomes",
        "tags": ["outcomes"],
        "summary": "Hear what became of updates",
        "description": "Outcomes as they were published, of the accounts of the key, in their "
        "order. A page of JSON, which may be waited for, or, with `Accept: text/event-stream`, "
        "Server-Sent Events, each with its position as its id. An outcome that has no account, "
        "as one that is `not_found`, is for keys of all accounts alone.",
        "parameters": _parameters(),
        "responses": {
            "200": {
                "description": "Outcomes, none if none came in time, and where to go on; "
                "or a stream of them, which also has events of the type `problem`.",
                "content": {
                    JSON: {"schema": _page_schema(place), "examples": _pages()},
                    terms.EVENT_STREAM: {
                        "schema": {"type": "string"},
                        "examples": {
                            "stream": {"summary": "An outcome, and a heartbeat", "value": _STREAM}
                        },
                    },
                },
            },
            "400": _bad_query(),
            "410": _trimmed(),
            **problems.shared(401, 429, 500, 503),
        },
    }


def _parameters() -> list[dict[str, Any]]:
    place = {"type": "string", "pattern": terms.PLACE}
    page_only = "For a page alone."
    return [
        _in_query(
            "after",
            "Behind which position: the `after` of an earlier answer, the id of an event, or "
            "`oldest`. From now on, if left out.",
            place,
        ),
        _in_query(
            "limit",
            f"How many outcomes at most. {page_only}",
            {"type": "integer", "minimum": 1, "maximum": terms.MAX_LIMIT, "default": terms.LIMIT},
        ),
        _in_query(
            "wait",
            f"For how many seconds to wait for the first, if there is none. {page_only}",
            {"type": "integer", "minimum": 0, "maximum": terms.MAX_WAIT_SECONDS, "default": 0},
        ),
        _in_query(
            "messageId",
            "Of the message that carried the update.",
            {"type": "string", "minLength": 1, "maxLength": MESSAGE_ID_LENGTH},
        ),
        _in_query(
            "reason",
            "Which reasons, `updated` for those that have none; may be given several times.",
            {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(REASONS)}},
        ),
        _in_query(
            "format",
            "Outcomes as they are, or each as the `data` of a CloudEvent 1.0.",
            {"type": "string", "enum": list(terms.FORMATS), "default": terms.AS_THEY_ARE},
        ),
        {
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The id of the last event of a stream; counts in place of `after`.",
            "schema": place,
        },
    ]


def _in_query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _page_schema(place: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "outcomes": {
                "type": "array",
                "items": {"anyOf": [{"$ref": f"{place}PublishedOutcome"}, CLOUD_EVENT]},
            },
            "after": {
                "type": "string",
                "pattern": terms.POSITION,
                "description": "Where the next page begins.",
            },
        },
        "required": ["outcomes", "after"],
    }


def _pages() -> dict[str, Any]:
    return {
        "some": {
            "summary": "Some outcomes",
            "value": {"outcomes": outcomes()[:2], "after": POSITION},
        },
        "none": {
            "summary": "None came in time",
            "value": {"outcomes": [], "after": POSITION},
        },
    }


def _bad_query() -> dict[str, Any]:
    return problems.response(
        "A parameter is not valid, or there is none of this name.",
        {
            name: {
                "summary": summary,
                "value": problem(400, message),
                "x-request-path": f"{terms.OUTCOMES}?{query}",
            }
            for name, (summary, query, message) in BAD_QUERIES.items()
        },
    )


def _trimmed() -> dict[str, Any]:
    trimmed = {"summary": "Trimmed", "value": problem(410, terms.trimmed(BEGIN))}
    response = problems.response(
        "Outcomes behind the position are not in the stream any more, or may not be.",
        {"trimmed": trimmed},
    )
    link = {
        "description": "Where to begin.",
        "required": True,
        "schema": {"type": "string"},
        "example": f'<{terms.OUTCOMES}?after={BEGIN}>; rel="next"',
    }
    return {**response, "headers": {"Link": link}}
