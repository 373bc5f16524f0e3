"""Messages that nobody should send, and that people have met.

A case is an item as it lies in the queue, and the message id that it can be answered
under, if it has one.
"""

from __future__ import annotations

import base64
import itertools
import json
import pickle
import uuid
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from settle_client.names import QUEUE, TASK

if TYPE_CHECKING:
    from collections.abc import Iterator

ABSENT, DEFAULT = object(), object()
DEEP = 100_000
ODD: tuple[Any, ...] = (ABSENT, None, 5, "", "text", [], {}, {"a": []}, True)


class Case(NamedTuple):
    """An item of the queue."""

    item: bytes
    message_id: str | None


def met() -> list[Case]:
    """Return what people have met."""
    return [*_no_messages(), *_bodies(), *_envelopes(), *_headers()]


def named() -> dict[str, Any]:
    """Return the headers of a message that has an id."""
    return {"id": f"hostile-{uuid.uuid4()}", "task": TASK, "lang": "py"}


def message(
    body: str | bytes,
    *,
    headers: Any = DEFAULT,
    properties: dict[str, Any] | None = None,
    parts: dict[str, Any] | None = None,
) -> Case:
    """Return an item as kombu lays it out, with some parts different; ABSENT leaves one out."""
    headers = named() if headers is DEFAULT else headers
    encoded = base64.b64encode(body.encode() if isinstance(body, str) else body).decode()
    envelope: dict[str, Any] = {
        "body": encoded,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "delivery_tag": str(uuid.uuid4()),
            **(properties or {}),
        },
        **(parts or {}),
    }
    item = json.dumps(_without_absent(envelope)).encode()
    id_ = headers.get("id") if isinstance(headers, dict) else None
    return Case(item, id_ if isinstance(id_, str) else None)


def _without_absent(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {name: _without_absent(held) for name, held in part.items() if held is not ABSENT}


GOOD = json.dumps([[], {"id": "ev_0", "status": "completed"}, {}])


def _no_messages() -> Iterator[Case]:
    for item in (b"", b"null", b"5", b'"text"', b"[]", b"{}", b"\xff\xfe", b"{" * DEEP):
        yield Case(item, None)
    yield Case(b"[" * DEEP, None)
    yield Case(b" " * 100 * 2**20, None)
    yield Case(b'{"properties": {"delivery_tag": "t"}, "body": 5}', None)


def _bodies() -> Iterator[Case]:
    bodies: tuple[str | bytes, ...] = (
        *("", "null", "[]", "[[]]", "{}", "[[], {}]", "[[], {}, {}, {}]", GOOD[:-1], GOOD[:20]),
        *(b"\xff\xfe\x00", b"\xef\xbb\xbf" + GOOD.encode(), b"\x00" * 1_000, pickle.dumps({})),
        *("[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP),
        '[[[{"id": "a", "status": NaN}]], {}, {}]',
        '[[], {"id": "a", "id": "\\u0000", "status": "completed"}, {}]',
        '[[], {"id": "\\ud800", "status": "completed"}, {}]',
        json.dumps([[], {"id": "x" * 1_000_000, "status": "completed"}, {}]),
        json.dumps([[[{"id": "ev_0", "status": "completed"}] * 1_001], {}, {}]),
        "[[], {" + '"id": 1e999999, "status": ' + "9" * 10_000 + "}, {}]",
    )
    yield from map(message, bodies)


def _envelopes() -> Iterator[Case]:
    for part, held in itertools.product(("content-type", "content-encoding", "body"), ODD):
        yield message(GOOD[:-1], parts={part: held})
    for name, held in itertools.product(("delivery_info", "body_encoding", "priority"), ODD):
        yield message(GOOD[:-1], properties={name: held})
    for held in ("application/x-python-serialize", "application/x-yaml", "text/plain"):
        yield message(pickle.dumps(print), parts={"content-type": held})
    yield message("nonsense", headers={}, parts={"content-type": "m\udfff"})
    yield message("nonsense", properties={"priority": 1e400})
    for encoding in ("utf-16", "binary", "no such", "latin-1", "idna", "rot13", "zlib"):
        yield message("nonsense", parts={"content-encoding": encoding})


def _deep(levels: int) -> Case:
    """Return an item one of whose headers is nested, more than Python writes."""
    case = message("nonsense", headers={**named(), "odd": "nested"})
    item = case.item.replace(b'"nested"', b"[" * levels + b"]" * levels)
    # Whether the id can be read depends on how deep the reader is itself.
    return Case(item, None)


def _headers() -> Iterator[Case]:
    large = zlib.compress(b"nonsense" * 1_000_000)  # expands to almost eight mebibytes
    bomb = zlib.compress(bytes(2**30), level=1)
    for compression in ("gzip", "application/x-gzip", "bzip2", "no such", 5, None):
        yield message(bomb, headers={**named(), "compression": compression})
        yield message(large, headers={**named(), "compression": compression})
    for headers in (*ODD, {"id": "only"}, {"task": TASK}, {"task": "another", "id": "another"}):
        yield message("nonsense", headers=headers)
    for task in (*ODD, [[]], "x" * 100_000):
        yield message("nonsense", headers={**named(), "task": task})
    odd_stamps: tuple[Any, ...] = ([[]], True, 5, [{}], {"a": 1})
    for stamps in odd_stamps:
        yield message("nonsense", headers={**named(), "stamped_headers": stamps})
        yield message("nonsense", headers={**named(), "stamped_headers": ["a"], "stamps": stamps})
    for levels in (972, DEEP // 10):
        yield _deep(levels)
    for message_id in (*ODD, "\0", "\ud800", "x" * 10_000):
        case = message("nonsense", headers={**named(), "id": message_id})
        yield case._replace(message_id=None)
    names = ("eta", "expires", "retries", "timelimit", "stamped_headers", "x-delivery-count")
    shown = ("redelivered", "root_id", "parent_id", "argsrepr", "sent_at")
    values: tuple[Any, ...] = ("nonsense", [], {"a": 1}, 10**30, 10**400, -1, "\0", "\ud800")
    for name, held in itertools.product((*names, *shown), values):
        yield message("nonsense", headers={**named(), name: held})
    for name, held in itertools.product(shown, values):
        yield message(GOOD, headers={**named(), name: held})
    # Protocol 1: everything is in the body.
    first: tuple[dict[str, Any], ...] = ({}, {"args": 5}, {"kwargs": []}, {"args": [[5]]})
    for number, fields in enumerate(first):
        call = json.dumps({"task": TASK, "id": f"protocol-1-{number}", **fields})
        yield message(call, headers={})
