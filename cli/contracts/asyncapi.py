"""The queue door as an AsyncAPI document: what is received, what is sent, where, and in which form.

The point of view is the service's. Outcomes go out twice, under one name: to a
Pub/Sub channel for whoever listens now and to a stream for whoever comes later. These
are two channels here, for an entry of the stream holds an outcome as a text.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from cli.contracts import messages, schemas
from cli.contracts.package import information
from service.settings import Settings
from settle_client.names import DEAD_LETTERS, OUTCOMES, QUEUE

PLACE = "#/components/schemas/"
STREAM = f"{OUTCOMES}.stream"

_CHANNEL_OF = {
    "StatusUpdates": QUEUE,
    "StatusUpdatesOnRedis": QUEUE,
    "Outcome": OUTCOMES,
    "OutcomeEntry": STREAM,
    "DeadLetter": DEAD_LETTERS,
}


def document() -> dict[str, Any]:
    """Return the document."""
    message_objects = messages.messages(PLACE)
    return {
        # Which all of AsyncAPI's own generators take; nothing newer is used.
        "asyncapi": "3.0.0",
        "info": information(),
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "schemas": _schemas(message_objects),
            "messages": message_objects,
            "securitySchemes": {
                "password": {
                    "type": "userPassword",
                    "description": "A user of the broker's, if it has any.",
                }
            },
        },
    }


def _servers() -> dict[str, Any]:
    redis = urlsplit(Settings.model_fields["broker_url"].default)
    security = [{"$ref": "#/components/securitySchemes/password"}]
    return {
        "redis": {
            "host": redis.netloc,
            "pathname": redis.path,
            "protocol": redis.scheme,
            "description": "Redis or Valkey: the broker, the result channel and the dead letters.",
            "security": security,
        },
        "rabbitmq": {
            "host": f"{redis.hostname}:5672",
            "protocol": "amqp",
            "protocolVersion": "0.9.1",
            "description": "RabbitMQ, as the broker in place of Redis.",
            "security": security,
        },
    }


def _channels() -> dict[str, Any]:
    redis = [{"$ref": "#/servers/redis"}]
    return {
        QUEUE: {
            "address": QUEUE,
            "title": "Status updates",
            "description": "The queue: a list on Redis, a quorum queue on RabbitMQ. A Celery "
            "client sends the one message to both; only on Redis it lies there in an envelope.",
            "servers": [*redis, {"$ref": "#/servers/rabbitmq"}],
            "messages": _message_of("StatusUpdates") | _message_of("StatusUpdatesOnRedis"),
            "bindings": {
                "amqp": {
                    "is": "queue",
                    "queue": {
                        "name": QUEUE,
                        "durable": True,
                        "exclusive": False,
                        "autoDelete": False,
                    },
                    "bindingVersion": "0.3.0",
                }
            },
        },
        OUTCOMES: {
            "address": OUTCOMES,
            "title": "Outcomes, live",
            "description": "A Pub/Sub channel: nothing is kept for who is not listening.",
            "servers": redis,
            "messages": _message_of("Outcome"),
        },
        STREAM: {
            "address": OUTCOMES,
            "title": "Outcomes, kept",
            "description": "A stream, to be followed as a consumer group or read again.",
            "servers": redis,
            "messages": _message_of("OutcomeEntry"),
        },
        DEAD_LETTERS: {
            "address": DEAD_LETTERS,
            "title": "Dead letters",
            "description": "A stream of what is not valid, kept for a person to look at.",
            "servers": redis,
            "messages": _message_of("DeadLetter"),
        },
    }


def _message_of(name: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"}}


def _operations() -> dict[str, Any]:
    return {
        "receiveStatusUpdates": {
            "action": "receive",
            "description": "Takes updates, settles their events in batches, answers each update.",
            **_on("StatusUpdates", "StatusUpdatesOnRedis"),
            "reply": _on("Outcome"),
            "bindings": {"amqp": {"ack": True, "bindingVersion": "0.3.0"}},
        },
        "publishOutcome": {
            "action": "send",
            "description": "Says what became of an update, to whoever listens.",
            **_on("Outcome"),
        },
        "keepOutcome": {
            "action": "send",
            "description": "Keeps what became of an update for whoever comes later.",
            **_on("OutcomeEntry"),
        },
        "setAside": {
            "action": "send",
            "description": "Sets aside what is not valid.",
            **_on("DeadLetter"),
        },
    }


def _on(*names: str) -> dict[str, Any]:
    channel = f"#/channels/{_CHANNEL_OF[names[0]]}"
    return {
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in names],
    }


def _schemas(message_objects: dict[str, Any]) -> dict[str, Any]:
    available = schemas.components(PLACE)
    needed = schemas.needed(message_objects, available, PLACE)
    return {name: _in_draft_07(schema) for name, schema in needed.items()}


def _in_draft_07(part: Any) -> Any:
    """Write a schema in the dialect of AsyncAPI, where tuples are `items`."""
    if isinstance(part, dict):
        return {
            "items" if key == "prefixItems" else key: _in_draft_07(value)
            for key, value in part.items()
        }
    return [_in_draft_07(value) for value in part] if isinstance(part, list) else part
