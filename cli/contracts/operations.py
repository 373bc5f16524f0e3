"""The operations of the HTTP door, with examples that can be executed.

A request and the answer that it gets have the same name, and begin with the events of
`cli.contracts.examples`. An answer that says what is wrong with a request says in
`x-request-body` or `x-request-path` what that was, for it may be no JSON at all.
"""

from __future__ import annotations

from typing import Any

from cli.contracts import collection, message_operations, outcome_operations, problems, schemas
from cli.contracts.examples import EXCHANGES, MAX_UPDATES, event
from gateway import terms

_EVENTS = {"pending": "ev_1", "completed": "ev_3", "failed": "ev_4"}


def paths(place: str) -> dict[str, Any]:
    """Return every path; they refer to schemas at a place such as `#/components/schemas/`."""
    return {
        terms.EVENTS: collection.operations(place),
        terms.BATCH: {"patch": message_operations.answer_later(_settle_events(place), place)},
        terms.EVENT: {"get": _get_event(place)},
        **outcome_operations.paths(place),
        **message_operations.paths(place),
        terms.HEALTH: {"get": _get_health()},
        terms.METRICS: {"get": _get_metrics()},
        terms.CONTRACT: {
            "get": _get_page("getContract", "This document", terms.JSON, {"type": "object"})
        },
        terms.DOCS: {
            "get": _get_page(
                "getDocs", "This document, to read in a browser", "text/html", {"type": "string"}
            )
        },
    }


def _settle_events(place: str) -> dict[str, Any]:
    return {
        "operationId": "settleEvents",
        "tags": ["events"],
        "summary": "Set status per event",
        "description": "Settles each event that is pending, once only, and answers every update in "
        "the order of the request. An event that is settled already, unknown or of another account "
        "has `updated: false` and a `reason`.",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Becomes the message id. "
                "A request that is sent again under the same key gets the same outcomes.",
                "schema": {"type": "string", "pattern": terms.MESSAGE_ID},
                "examples": {
                    name: {"summary": exchange.summary, "value": exchange.message_id}
                    for name, exchange in EXCHANGES.items()
                },
            }
        ],
        "requestBody": {
            "required": True,
            "content": _json(
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_UPDATES,
                    "items": {"$ref": f"{place}StatusUpdate"},
                },
                {
                    name: {"summary": exchange.summary, "value": exchange.updates}
                    for name, exchange in EXCHANGES.items()
                },
            ),
        },
        "responses": {
            "200": {
                "description": "An outcome for each update, in their order.",
                "content": _json(
                    {"type": "array", "minItems": 1, "items": {"$ref": f"{place}Outcome"}},
                    {
                        name: {"summary": exchange.summary, "value": exchange.outcomes}
                        for name, exchange in EXCHANGES.items()
                    },
                ),
                "links": {
                    "event": {
                        "operationId": "getEvent",
                        "description": "The first of the events, as it is now.",
                        "parameters": {"id": "$response.body#/0/id"},
                    }
                },
            },
            "400": problems.bad_batch(),
            **problems.shared(401, 408, 413, 415, 429, 500, 503),
        },
    }


def _get_event(place: str) -> dict[str, Any]:
    examples = {name: {"summary": f"A {name} event", "value": id_} for name, id_ in _EVENTS.items()}
    # As an update has it; without its description, for it is another's.
    id_schema = schemas.components(place)["StatusUpdate"]["properties"]["id"]
    limits = {
        key: value for key, value in id_schema.items() if key not in ("description", "examples")
    }
    return {
        "operationId": "getEvent",
        "tags": ["events"],
        "summary": "Get an event",
        "description": "Returns an event as it is now, pending or settled.",
        "parameters": [
            {
                "name": "id",
                "in": "path",
                "required": True,
                "description": "The event's id, percent-encoded.",
                "schema": limits,
                "examples": examples,
            }
        ],
        "responses": {
            "200": {
                "description": "The event.",
                "content": _json(
                    {"$ref": f"{place}Event"},
                    {
                        name: {"summary": f"A {name} event", "value": event(id_)}
                        for name, id_ in _EVENTS.items()
                    },
                ),
            },
            "400": problems.bad_id(),
            "404": problems.unknown_event(),
            **problems.shared(401, 429, 500, 503),
        },
    }


def _get_health() -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "status": {"const": "ok"},
            "lists": {
                "enum": ["replica", "primary"],
                "description": "Where lists are read now; only where a replica is set.",
            },
        },
        "required": ["status"],
    }
    return {
        "operationId": "getHealth",
        "tags": ["service"],
        "summary": "Whether requests can be served",
        "description": "Tries both, and settles and publishes nothing. Needs no key.",
        "security": [],
        "responses": {
            "200": {
                "description": "Updates can be settled, and their outcomes published.",
                "content": _json(schema, {"ok": {"value": {"status": "ok"}}}),
            },
            **problems.shared(500, 503),
        },
    }


def _get_metrics() -> dict[str, Any]:
    return {
        "operationId": "getMetrics",
        "tags": ["service"],
        "summary": "Metrics for Prometheus",
        "description": "Needs a key where keys are configured.",
        "responses": {
            "200": {
                "description": "In Prometheus' text format.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            **problems.shared(401, 429, 500),
        },
    }


def _get_page(
    operation_id: str, summary: str, media_type: str, schema: dict[str, Any]
) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "tags": ["service"],
        "summary": summary,
        "description": "Needs no key.",
        "security": [],
        "responses": {
            "200": {"description": "It.", "content": {media_type: {"schema": schema}}},
            **problems.shared(500),
        },
    }


def _json(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    return {terms.JSON: {"schema": schema, "examples": examples}}
