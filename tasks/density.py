"""JSON that is small as text and large in memory.

What is valid is decoded without what is ignored, and takes no more than it says. Where
everything would be decoded, to find what is wrong, each value of two bytes can take a
hundred: where there may be too many, what is ignored is left out here too.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

# About fifty mebibytes; 500 for each of a thousand updates.
MAX_VALUES = 500_000
# Of a field that cannot be valid any more.
MAX_FIELD_BYTES = 10_000


class _Said(msgspec.Struct, gc=False, rename={"account_id": "accountId"}):
    """What an update says, as text."""

    id: Raw | UnsetType = UNSET
    status: Raw | UnsetType = UNSET
    account_id: Raw | UnsetType = UNSET


_decode_one = msgspec.json.Decoder(tuple[tuple[()], _Said, Raw]).decode
_decode_many = msgspec.json.Decoder(
    tuple[tuple[list[_Said]], Annotated[dict[str, Raw], Meta(max_length=0)], Raw]
).decode
_decode_list = msgspec.json.Decoder(list[_Said]).decode


def is_too_dense(text: bytes | str) -> bool:
    """Return whether JSON text may have more values than can be decoded at once.

    Args:
        text: Whatever it is. In its strings, too, what separates values is counted.
    """
    return _count(text, b",", b"[", b"{") > MAX_VALUES


def why_too_dense(error: Exception, fix: str) -> str:
    """Say why a body is not understood that is too dense to be decoded whole."""
    return f"the body may have more than {MAX_VALUES:,} values, and {error}: {fix}"


def decode_sparsely(body: bytes | str) -> tuple[Any, Any]:
    """Take args and kwargs out of a body, without the fields that are ignored.

    Raises:
        ValueError: It is not JSON, has too many objects, or an update is none.
    """
    _check_objects(body)
    try:
        return [], _fields(_decode_one(body)[1])
    except msgspec.ValidationError:
        return [[_fields(said) for said in _decode_many(body)[0][0]]], {}


def decode_list_sparsely(body: bytes) -> list[dict[str, Any]]:
    """Take updates out of a list of them, without the fields that are ignored.

    Raises:
        ValueError: It is not JSON, has too many objects, or an update is none.
    """
    _check_objects(body)
    return [_fields(said) for said in _decode_list(body)]


def _check_objects(body: bytes | str) -> None:
    if _count(body, b"{") > MAX_VALUES:
        raise ValueError(f"it may have more than {MAX_VALUES:,} objects")


def _fields(said: _Said) -> dict[str, Any]:
    raw = {"id": said.id, "status": said.status, "accountId": said.account_id}
    return {name: _value(text) for name, text in raw.items() if text is not UNSET}


def _value(raw: Any) -> Any:
    text = bytes(raw)
    if len(text) > MAX_FIELD_BYTES:
        return text[:MAX_FIELD_BYTES].decode(errors="replace")
    return msgspec.json.decode(text)


def _count(text: bytes | str, *marks: bytes) -> int:
    if len(text) < MAX_VALUES:
        return 0
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    return sum(map(raw.count, marks))
