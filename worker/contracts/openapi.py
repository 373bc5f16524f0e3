"""The HTTP door as an OpenAPI 3.1 document: every operation, answer and header.

The examples can be executed (`worker.contracts.examples`): a request and the
answer that it gets have the same name, and an answer that tells what is wrong with a
request says in `x-request-body` or `x-request-path` what that was.
"""

from __future__ import annotations

from importlib.metadata import metadata
from typing import Any, get_args

from tasks.messages import Status
from worker.contracts import problems, schemas
from worker.contracts.examples import EXCHANGES, MAX_UPDATES, event

PLACE = "#/components/schemas/"
MESSAGE_ID_PATTERN = r"^[\x21-\x7e]{1,255}$"

_EVENTS = {"pending": "ev_1", "completed": "ev_3", "failed": "ev_4"}


def document() -> dict[str, Any]:
    """Return the document."""
    paths = {
        "/v2/api/events/batch": {"patch": _settle_events()},
        "/v2/api/events/{id}": {"get": _get_event()},
        "/healthz": {"get": _get_health()},
        "/metrics": {"get": _get_metrics()},
    }
    responses = problems.components()
    return {
        "openapi": "3.1.1",
        "info": information(),
        "servers": [
            {
                "url": "http://{host}:{port}",
                "description": "Where the gateway listens; TLS is for the proxy in front of it.",
                "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "8000"}},
            }
        ],
        "tags": [
            {"name": "events", "description": "Events, and the updates that settle them."},
            {"name": "service", "description": "How the service itself is."},
        ],
        "security": [{"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas([paths, responses]),
            "responses": responses,
            "headers": problems.HEADERS,
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, which names the accounts it is for. "
                    "A gateway without keys listens on loopback only and asks nobody.",
                }
            },
        },
    }


def information() -> dict[str, Any]:
    """Say what is described, and which version of it."""
    package = metadata("settle")
    license_name = package["License-Expression"]
    return {
        "title": "Settle",
        "version": package["Version"],
        "description": package["Summary"],
        "license": {"name": license_name, "identifier": license_name},
    }


def _schemas(parts: list[Any]) -> dict[str, Any]:
    available = schemas.components(PLACE)
    available["Outcome"] = _told_by_http(available["Outcome"])
    return schemas.needed(parts, available, PLACE)


def _told_by_http(outcome: dict[str, Any]) -> dict[str, Any]:
    """Narrow an outcome to what this door says: the payload always, and no update without an id."""
    properties = dict(outcome["properties"])
    narrowed: dict[str, dict[str, Any]] = {
        "id": {"type": "string"},
        "status": {"type": "string", "enum": list(get_args(Status))},
        "messageId": {"type": "string"},
    }
    for name, schema in narrowed.items():
        kept = {key: value for key, value in properties[name].items() if key != "anyOf"}
        properties[name] = kept | schema
    properties["status"]["description"] = "What the update asked for."
    properties["id"]["description"] = "The event's id."
    return {
        **outcome,
        "properties": properties,
        "required": [*outcome["required"], "payload"],
        "examples": EXCHANGES["oneUpdate"].outcomes,
    }


def _settle_events() -> dict[str, Any]:
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
                "schema": {"type": "string", "pattern": MESSAGE_ID_PATTERN},
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
                    "items": {"$ref": f"{PLACE}StatusUpdate"},
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
                    {"type": "array", "minItems": 1, "items": {"$ref": f"{PLACE}Outcome"}},
                    {
                        name: {"summary": exchange.summary, "value": exchange.outcomes}
                        for name, exchange in EXCHANGES.items()
                    },
                ),
            },
            "400": problems.bad_batch(),
            **problems.shared(401, 408, 413, 415, 429, 500, 503),
        },
    }


def _get_event() -> dict[str, Any]:
    examples = {name: {"summary": f"A {name} event", "value": id_} for name, id_ in _EVENTS.items()}
    # As an update has it; without its description, for it is another's.
    id_schema = schemas.components(PLACE)["StatusUpdate"]["properties"]["id"]
    limits = {
        key: value for key, value in id_schema.items() if key not in ("description", "examples")
    }
    return {
        "operationId": "getEvent",
        "tags": ["events"],
        "summary": "Get an event",
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
                    {"$ref": f"{PLACE}Event"},
                    {
                        name: {"summary": f"A {name} event", "value": event(id_)}
                        for name, id_ in _EVENTS.items()
                    },
                ),
            },
            "400": problems.bad_id(),
            **problems.shared(401, 404, 429, 500, 503),
        },
    }


def _get_health() -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"status": {"const": "ok"}},
        "required": ["status"],
    }
    return {
        "operationId": "getHealth",
        "tags": ["service"],
        "summary": "Whether requests can be served",
        "security": [],
        "responses": {
            "200": {
                "description": "The database and the result channel answer.",
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
        "responses": {
            "200": {
                "description": "In Prometheus' text format.",
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            **problems.shared(401, 500),
        },
    }


def _json(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema, "examples": examples}}
