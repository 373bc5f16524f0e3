"""The documents in contracts/, and the places in them that say something of a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7, DRAFT202012

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTRACTS = Path(__file__).parents[1] / "contracts"


class Example(NamedTuple):
    """A value, and the pointer to the schema that it must satisfy."""

    pointer: str
    value: Any


def read(path: str) -> dict[str, Any]:
    """Return a document as it is committed."""
    document: dict[str, Any] = json.loads((CONTRACTS / path).read_text(encoding="utf-8"))
    return document


def validator(document: dict[str, Any], pointer: str = "") -> Any:
    """Return what validates by the schema at a place in a document, in the document's dialect."""
    is_asyncapi = "asyncapi" in document
    kind = Draft7Validator if is_asyncapi else Draft202012Validator
    resource = (DRAFT7 if is_asyncapi else DRAFT202012).create_resource(document)
    registry: Any = Registry().with_resource("urn:document", resource)
    reference = {"$ref": f"urn:document#{quote(pointer)}"}
    return kind(reference, registry=registry, format_checker=kind.FORMAT_CHECKER)


def examples(part: Any, pointer: str = "") -> Iterator[Example]:
    """Yield the examples in a document, wherever its format lets one stand."""
    match part:
        case {"schema": _, "examples": dict(named)}:
            yield from (Example(f"{pointer}/schema", one["value"]) for one in named.values())
        case {"schema": _, "example": value}:
            yield Example(f"{pointer}/schema", value)
        case {"payload": _, "examples": list(messages)}:
            for message in messages:
                yield from (Example(f"{pointer}/{name}", message[name]) for name in _parts(message))
        case {"examples": list(values)}:
            yield from (Example(pointer, value) for value in values)
    for key, child in _children(part):
        yield from examples(child, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")


def _children(part: Any) -> list[tuple[str, Any]]:
    if isinstance(part, dict):
        return [(key, part[key]) for key in part if key not in ("examples", "example")]
    return [(str(n), one) for n, one in enumerate(part)] if isinstance(part, list) else []


def _parts(message: dict[str, Any]) -> list[str]:
    return [name for name in ("headers", "payload") if name in message]
