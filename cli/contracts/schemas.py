"""The JSON Schemas (2020-12) of everything that goes in or comes out.

What the service has a model of is described by that model; what only Celery and
Redis give a form to is in `cli.contracts.envelopes`. Both doors' documents are
built of these, and each is written as a file that needs no other.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cli.contracts import envelopes as transport
from cli.contracts import pushed, samples
from settle_client.outcome import Outcome, Problem
from settle_client.update import StatusUpdate
from tasks.events import Event
from tasks.new_events import CreatedEvent, NewEvent

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# The files, and what is in each.
FILES = {
    "update": "StatusUpdate",
    "message": "MessageBody",
    "envelope": "Envelope",
    "outcome": "Outcome",
    "problem": "Problem",
    "dead-letter": "DeadLetter",
    "event": "Event",
    "pushed": "Pushed",
    "cloud-event": "CloudEvent",
}


def components(place: str) -> dict[str, Schema]:
    """Return every schema by its name.

    Args:
        place: Where they are kept, such as `#/$defs/`; they refer to each other there.
    """
    _, written = msgspec.json.schema_components(
        [StatusUpdate, Outcome, Problem, Event, NewEvent, CreatedEvent],
        ref_template=place + "{name}",
    )
    schemas = {
        **{name: _for_outsiders(schema) for name, schema in written.items()},
        **transport.schemas(place),
        **pushed.schemas(place),
    }
    # Said aloud, for whoever generates code from it: the whole event may be sent.
    schemas["StatusUpdate"]["additionalProperties"] = True
    schemas["NewEvent"]["additionalProperties"] = True
    _say_that_it_is_there(schemas["Outcome"], "index")
    for name, values in samples.whole().items():
        schemas[name]["examples"] = values
    return {name: {**_tidy(schema), "title": name} for name, schema in schemas.items()}


def needed(part: Any, available: dict[str, Schema], place: str) -> dict[str, Schema]:
    """Return those of the schemas that something refers to, also by way of others."""
    names: set[str] = set()
    waiting = [part]
    while waiting:
        found = _references(waiting.pop(), place) - names
        names |= found
        waiting += [available[name] for name in found]
    return {name: available[name] for name in sorted(names)}


def files() -> dict[str, Schema]:
    """Return what is written into each file, by its path."""
    place = "#/$defs/"
    available = components(place)
    return {
        f"schemas/{file}.schema.json": _alone(available[name], available, place)
        for file, name in FILES.items()
    }


def _alone(schema: Schema, available: dict[str, Schema], place: str) -> Schema:
    others = needed(schema, available, place)
    return {"$schema": DIALECT, **schema, **({"$defs": others} if others else {})}


def _references(part: Any, place: str) -> set[str]:
    if isinstance(part, dict):
        reference = part.get("$ref")
        own: set[str] = set()
        if isinstance(reference, str) and reference.startswith(place):
            own = {reference.removeprefix(place)}
        return own.union(*(_references(value, place) for value in part.values()))
    if isinstance(part, list):
        return set().union(*(_references(value, place) for value in part))
    return set()


def _for_outsiders(schema: Schema) -> Schema:
    """Leave out what the class says to readers of the code: all but its first sentence."""
    return {**schema, "description": schema["description"].partition("\n\n")[0]}


def _say_that_it_is_there(schema: Schema, name: str) -> None:
    """Describe a property as the service writes it, which readers can do without."""
    part = schema["properties"][name]
    (there,) = (one for one in part.pop("anyOf") if one != {"type": "null"})
    schema["properties"][name] = {**there, **part}
    schema["required"] = [*schema["required"], name]


def _tidy(schema: Schema) -> Schema:
    """Write it the way generators read it best."""
    tidy = {**schema, "description": " ".join(schema["description"].split())}
    if "properties" in tidy:
        tidy["properties"] = {name: _property(part) for name, part in tidy["properties"].items()}
    return tidy


def _property(part: Schema) -> Schema:
    # A title names a type, of which only an enumeration is one of its own. A default of null makes
    # generators believe that the property is always there.
    dropped = {"default"} if part.get("default", "") is None else set()
    if "enum" not in part:
        dropped.add("title")
    return {key: value for key, value in part.items() if key not in dropped}
