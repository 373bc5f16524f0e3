"""What `settle webhooks` sends: the body of a request in either form.

The outcomes in it are those of the result channel, as they are.
"""

from __future__ import annotations

from typing import Any

from service import cloud_events
from webhooks.payloads import TYPE

Schema = dict[str, Any]


def schemas(place: str) -> dict[str, Schema]:
    """Return the schemas, which refer to the outcome's in a place."""
    outcome = {"$ref": f"{place}Outcome"}
    moment = {"type": "string", "format": "date-time"}
    return {
        "Pushed": {
            "description": "The body of a request to an endpoint, by Standard Webhooks.",
            "type": "object",
            "properties": {
                "type": {"const": TYPE, "description": "What kind of body it is."},
                "timestamp": {
                    **moment,
                    "description": "When the last of its outcomes was published.",
                },
                "data": {
                    "type": "object",
                    "description": "What is pushed.",
                    "properties": {
                        "outcomes": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 1_000,
                            "items": outcome,
                            "description": "In the order in which they were published.",
                        }
                    },
                    "required": ["outcomes"],
                },
            },
            "required": ["type", "timestamp", "data"],
        },
        "CloudEvent": {
            "description": "An outcome as a CloudEvent 1.0; a request has an array of them.",
            "type": "object",
            "properties": {
                "specversion": {"const": "1.0", "description": "Of CloudEvents."},
                "id": {
                    "type": "string",
                    "minLength": 1,
                    "description": "`messageId/index`: the same whenever it is repeated.",
                },
                "source": {"const": cloud_events.SOURCE, "description": "Where events are."},
                "type": {"const": cloud_events.TYPE, "description": "That it is an outcome."},
                "subject": {"type": "string", "description": "The event's id, if one was read."},
                "time": {**moment, "description": "When the outcome was published."},
                "datacontenttype": {
                    "const": "application/json",
                    "description": "Of `data`.",
                },
                "data": {**outcome, "description": "The outcome."},
            },
            "required": ["specversion", "id", "source", "type", "time", "data"],
        },
    }
