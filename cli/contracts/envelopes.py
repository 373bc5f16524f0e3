"""What Celery, kombu and Redis give a form to: messages, their envelope, entries of streams.

The service has no model of these: it reads the few fields that it needs. So they
are described here, and tests compare them with what real clients send and what
the service writes.
"""

from __future__ import annotations

from typing import Any

from cli.contracts.examples import MAX_UPDATES
from settle_client.names import QUEUE, SENT_AT, TASK
from tasks.messages import MAX_MESSAGE_ID_CHARACTERS

_EMBED = {
    "type": "object",
    "description": "What Celery embeds: callbacks, errbacks, chain, chord. None of it is followed.",
}

# Those of Celery's headers that mean something here. Others may be there.
_HEADERS = {
    "task": {"const": TASK, "description": "The name of the task."},
    "id": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_MESSAGE_ID_CHARACTERS,
        "pattern": r"^[^\x00]+$",
        "description": "The message id: Celery's task id. "
        "A message that is sent again under the same id gets the same outcomes.",
    },
    "lang": {"type": "string", "description": "The language of the sender."},
    "eta": {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "Not to be applied before.",
    },
    "expires": {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "Dropped afterwards, without an outcome.",
    },
    "retries": {"type": ["integer", "null"], "description": "How often it was sent again."},
    "ignore_result": {
        "type": ["boolean", "null"],
        "description": "Whether nobody asks Celery's result backend.",
    },
    "root_id": {"type": ["string", "null"], "description": "Celery's; usually the message id."},
    "parent_id": {"type": ["string", "null"], "description": "Celery's; usually null."},
    "argsrepr": {"type": ["string", "null"], "description": "What monitors show of args."},
    "kwargsrepr": {"type": ["string", "null"], "description": "What monitors show of kwargs."},
    "origin": {"type": ["string", "null"], "description": "Who sent it."},
    "traceparent": {"type": "string", "description": "The trace it belongs to (W3C)."},
    "tracestate": {"type": "string", "description": "The same, for the tracing system."},
    SENT_AT: {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "When it was sent, in seconds since the epoch. "
        "By it workers tell how old the queue is.",
    },
}

_DELIVERY = {
    "type": "object",
    "properties": {
        "door": {"const": "http"},
        "queue": {"type": ["string", "null"]},
        "exchange": {"type": ["string", "null"]},
        "redelivered": {"type": "boolean"},
        "deliveriesToDeadWorkers": {"type": "integer", "minimum": 0},
    },
}


def schemas(place: str) -> dict[str, dict[str, Any]]:
    """Return the schemas by name; they refer to others at a place such as `#/$defs/`."""
    return {
        "MessageBody": _body(place),
        "MessageHeaders": {
            "description": "The headers of a message of Celery's, protocol 2.",
            "type": "object",
            "properties": _HEADERS,
            "required": ["task", "id"],
        },
        "Envelope": _envelope(place),
        "OutcomeEntry": {
            "description": "An entry of the stream of outcomes.",
            "type": "object",
            "properties": {"outcome": _json_text("The outcome.", {"$ref": f"{place}Outcome"})},
            "required": ["outcome"],
        },
        "DeadLetter": _dead_letter(),
    }


def _body(place: str) -> dict[str, Any]:
    update = {"$ref": f"{place}StatusUpdate"}
    updates = {"type": "array", "minItems": 1, "maxItems": MAX_UPDATES, "items": update}
    nothing = {"type": "array", "maxItems": 0}
    no_names = {"type": "object", "maxProperties": 0}
    arguments = {"type": "array", "minItems": 1, "maxItems": 1, "items": updates}
    return {
        "description": "The body of a message, `[args, kwargs, embed]` as Celery's protocol 2 has "
        "it: one update in kwargs, or several as the one argument in args.",
        "type": "array",
        "minItems": 3,
        "maxItems": 3,
        "anyOf": [
            {"title": "OneUpdate", "prefixItems": [nothing, update, _EMBED]},
            {"title": "SeveralUpdates", "prefixItems": [arguments, no_names, _EMBED]},
        ],
    }


def _envelope(place: str) -> dict[str, Any]:
    return {
        "description": "A message as it lies in a list of Redis, the way kombu writes it. "
        f"To send one is to `LPUSH` it to `{QUEUE}`.",
        "type": "object",
        "properties": {
            "body": {
                "type": "string",
                "contentEncoding": "base64",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": f"{place}MessageBody"},
            },
            "content-type": {"const": "application/json"},
            "content-encoding": {"const": "utf-8"},
            "headers": {"$ref": f"{place}MessageHeaders"},
            "properties": {
                "type": "object",
                "properties": {
                    "delivery_tag": {
                        "type": "string",
                        "minLength": 1,
                        "description": "Its own; no two items may share one.",
                    },
                    "delivery_info": {
                        "type": "object",
                        "properties": {
                            "exchange": {"type": "string"},
                            "routing_key": {"type": "string", "description": "The queue."},
                        },
                        "required": ["exchange", "routing_key"],
                    },
                    "body_encoding": {"const": "base64"},
                    "correlation_id": {"type": ["string", "null"]},
                    "reply_to": {"type": ["string", "null"]},
                    "delivery_mode": {"type": ["integer", "null"]},
                    "priority": {"type": ["integer", "null"]},
                },
                "required": ["delivery_tag", "delivery_info", "body_encoding"],
            },
        },
        "required": ["body", "content-type", "content-encoding", "headers", "properties"],
    }


def _dead_letter() -> dict[str, Any]:
    return {
        "description": "An update that is not valid, or a message that could not be understood: "
        "the fields of an entry of the stream.",
        "type": "object",
        "properties": {
            "messageId": {"type": "string", "description": "Empty if the message had none."},
            "index": {
                "type": "string",
                "pattern": "^[0-9]+$",
                "description": "The update's position in its message, from 0: that of its outcome.",
            },
            "reason": {"type": "string", "description": "Why it was set aside, in words."},
            "time": {
                "type": "string",
                "format": "date-time",
                "description": "When it was set aside.",
            },
            "delivery": _json_text("How the message came.", _DELIVERY),
            "raw": {
                "type": "string",
                "description": "The one update that is not valid, or the whole message, as JSON.",
            },
        },
        "required": ["messageId", "index", "reason", "time", "delivery", "raw"],
    }


def _json_text(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "string",
        "description": description,
        "contentMediaType": "application/json",
        "contentSchema": schema,
    }
