"""What comes in over HTTP: an update, or a list of them taken as a whole or not at all.

Its sender waits, and is answered with what is wrong with it. That is what makes it different
from a message, of which what is valid is taken (`tasks.messages`). Nothing here
knows HTTP: a body is handed in.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

from settle_client.checking import check, check_all
from settle_client.errors import InvalidUpdateError
from settle_client.update import StatusUpdate
from tasks.density import decode_list_sparsely, is_too_dense, why_too_dense
from tasks.errors import NotUnderstoodError
from tasks.messages import decode_valid

_decode_update = msgspec.json.Decoder(StatusUpdate).decode
_decode_updates = msgspec.json.Decoder(list[StatusUpdate]).decode


_EXPECTED = "it must be an array: [{id, status}, …]"
_EXPECTED_ONE = "it must be an object: {id, status}"
_GZIP = b"\x1f\x8b"
_NAMES: dict[type, str] = {
    dict: "an object",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def understand_request(body: bytes, *, max_updates: int) -> list[StatusUpdate]:
    """Understand the body of a request as updates.

    Args:
        body: JSON, `[{"id": …, "status": …}, …]`.
        max_updates: How many there may be.

    Raises:
        NotUnderstoodError: Something in it is not valid; the text names the
            element and the field.
    """
    _check_is_text(body, _EXPECTED)
    valid = decode_valid(_decode_updates, body)
    updates = _decode(body) if valid is None else valid
    if not isinstance(updates, list):
        raise NotUnderstoodError(f"the body is {_NAMES[type(updates)]}: {_EXPECTED}")
    if not 1 <= len(updates) <= max_updates:
        raise NotUnderstoodError(
            f"a request carries 1 to {max_updates} updates, this one {len(updates)}"
        )
    if valid is not None:
        return valid
    try:
        return check_all(updates)
    except InvalidUpdateError as error:
        raise NotUnderstoodError(str(error)) from error


def understand_one(body: bytes) -> StatusUpdate:
    """Understand the body of a request as one update.

    Args:
        body: JSON, `{"id": …, "status": …}`.

    Raises:
        NotUnderstoodError: Something in it is not valid; the text names the field.
    """
    _check_is_text(body, _EXPECTED_ONE)
    valid = decode_valid(_decode_update, body)
    if valid is not None:
        return valid
    update = _decode(body)
    if not isinstance(update, dict):
        name = "an array" if isinstance(update, list) else _NAMES[type(update)]
        raise NotUnderstoodError(f"the body is {name}: {_EXPECTED_ONE}")
    try:
        return check(update)
    except InvalidUpdateError as error:
        raise NotUnderstoodError(str(error)) from error


def _check_is_text(body: bytes, expected: str) -> None:
    if not body.strip():
        raise NotUnderstoodError(f"the body is empty: {expected}")
    if body.startswith(_GZIP):
        raise NotUnderstoodError("the body is compressed, with gzip: send it as it is")


def _decode(body: bytes) -> Any:
    if is_too_dense(body):
        return _decode_dense(body)
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        reason = error
    try:
        # It lets an element that has a lone surrogate be named.
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise NotUnderstoodError(f"the body is not JSON: {reason}") from None


def _decode_dense(body: bytes) -> Any:
    try:
        return decode_list_sparsely(body)
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError(why_too_dense(error, "send fewer updates")) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
