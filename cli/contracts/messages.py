"""The messages of the queue door: what comes in, and each form in which something goes out."""

from __future__ import annotations

from typing import Any

from cli.contracts import samples


def messages(place: str) -> dict[str, Any]:
    """Return the messages by name; their schemas are at a place such as `#/components/schemas/`."""
    examples = samples.whole()
    body = [("oneUpdate", samples.ONE_UPDATE), ("severalUpdates", samples.SEVERAL_UPDATES)]
    return {
        "StatusUpdates": {
            "title": "A message",
            "summary": "One or more updates, in a message of Celery's protocol 2.",
            "contentType": "application/json",
            "headers": {"$ref": f"{place}MessageHeaders"},
            "payload": {"$ref": f"{place}MessageBody"},
            "correlationId": _correlation("$message.header#/id"),
            "bindings": {"amqp": {"contentEncoding": "utf-8", "bindingVersion": "0.3.0"}},
            "examples": [
                {"name": name, "headers": samples.HEADERS, "payload": payload}
                for name, payload in body
            ],
        },
        "StatusUpdatesOnRedis": {
            "title": "A message on Redis",
            "summary": "The same, in the envelope in which kombu lays it into a list.",
            "payload": {"$ref": f"{place}Envelope"},
            "correlationId": _correlation("$message.payload#/headers/id"),
            "examples": [{"payload": envelope} for envelope in examples["Envelope"]],
        },
        "Outcome": {
            "title": "An outcome",
            "summary": "What became of one update.",
            "payload": {"$ref": f"{place}Outcome"},
            "correlationId": _correlation("$message.payload#/messageId"),
            "examples": [
                {"name": outcome["reason"] or "updated", "payload": outcome}
                for outcome in examples["Outcome"]
            ],
        },
        "OutcomeEntry": {
            "title": "An entry of the stream",
            "summary": "An outcome, as a text in the entry's one field.",
            "payload": {"$ref": f"{place}OutcomeEntry"},
            "examples": [{"payload": entry} for entry in examples["OutcomeEntry"]],
        },
        "DeadLetter": {
            "title": "A dead letter",
            "summary": "The fields of an entry of the stream.",
            "payload": {"$ref": f"{place}DeadLetter"},
            "correlationId": _correlation("$message.payload#/messageId"),
            "examples": [{"payload": letter} for letter in examples["DeadLetter"]],
        },
    }


def _correlation(location: str) -> dict[str, str]:
    return {"description": "The message id.", "location": location}
