"""The HTTP door as an OpenAPI 3.1 document: every operation, answer and header.

The operations are in `cli.contracts.operations`, and what they have in common when
something is wrong in `cli.contracts.problems`.
"""

from __future__ import annotations

from typing import Any, get_args

from cli.contracts import operations, problems, schemas
from cli.contracts.examples import EXCHANGES
from cli.contracts.package import information
from service.settings import Settings
from settle_client.update import Status

PLACE = "#/components/schemas/"


def document() -> dict[str, Any]:
    """Return the document."""
    paths = operations.paths(PLACE)
    responses = problems.components()
    return {
        "openapi": "3.1.0",
        "info": _information(),
        "servers": [
            {
                "url": "http://{host}:{port}",
                "description": "Where the gateway listens; TLS is for the proxy in front of it.",
                "variables": {
                    name: {"default": str(Settings.model_fields[f"gateway_{name}"].default)}
                    for name in ("host", "port")
                },
            }
        ],
        "tags": [
            {"name": "events", "description": "Events, and the updates that settle them."},
            {
                "name": "outcomes",
                "description": "What became of updates, for who was not answered.",
            },
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


def _information() -> dict[str, Any]:
    info = information()
    return {**info, "license": {**info["license"], "identifier": info["license"]["name"]}}


def _schemas(parts: list[Any]) -> dict[str, Any]:
    available = schemas.components(PLACE)
    available["PublishedOutcome"] = {**available["Outcome"], "title": "PublishedOutcome"}
    available["Outcome"] = _over_http(available["Outcome"])
    return schemas.needed(parts, available, PLACE)


def _over_http(outcome: dict[str, Any]) -> dict[str, Any]:
    """Narrow an outcome to what this door says: the payload always, and no update without an id."""
    properties = dict(outcome["properties"])
    narrowed: dict[str, dict[str, Any]] = {
        "id": {"type": "string"},
        "status": {"title": "Status", "type": "string", "enum": list(get_args(Status))},
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
