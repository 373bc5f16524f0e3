"""What comes in: a message and its updates, understood one by one.

A body whose updates are all valid, as nearly all are, is decoded and checked in one
go. Any other is understood piece by piece: an update that is not valid becomes an
`InvalidUpdate` and travels on beside its neighbours, so that it is answered and they
are not harmed. A message that cannot be understood at all becomes one `InvalidUpdate`
without an id. Nothing here touches Celery: the raw parts of a message are handed in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Raw

from settle_client.checking import check, explain_text
from settle_client.errors import InvalidUpdateError
from settle_client.update import MAX_ID_CHARACTERS, StatusUpdate
from tasks.density import decode_sparsely, is_too_dense, why_too_dense
from tasks.errors import NotUnderstoodError
from tasks.type_marks import with_ids_as_text

if TYPE_CHECKING:
    from collections.abc import Callable

# A thousand updates that are whole events of eight kibibytes each.
MAX_BODY_BYTES = 8 * 2**20
# It is in every outcome and in every row of its message, a thousand times.
MAX_MESSAGE_ID_CHARACTERS = 255
# Of what an outcome says is wrong with a message.
MAX_ERROR_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class InvalidUpdate:
    """An update, or a whole message, that cannot be applied, and why.

    `id` and `status` are what is known of them, for the outcome. `raw` is
    what was received, as text, for the dead letters.
    """

    error: str
    raw: str
    id: str | None = None
    status: str | None = None


Update = StatusUpdate | InvalidUpdate


class Message(NamedTuple):
    """The updates that arrived together under one message id, in order."""

    id: str | None
    updates: tuple[Update, ...]


Result = TypeVar("Result")

# The two forms of a body. What Celery embeds is skipped.
_decode_one = msgspec.json.Decoder(tuple[tuple[()], StatusUpdate, Raw]).decode
_decode_many = msgspec.json.Decoder(
    tuple[tuple[list[StatusUpdate]], Annotated[dict[str, Raw], Meta(max_length=0)], Raw]
).decode
_decode_nothing = msgspec.json.Decoder(Raw).decode
_decode_any = msgspec.json.Decoder(tuple[Any, Any, Raw]).decode


def read_message(message_id: Any, body: bytes | str, *, max_updates: int) -> Message:
    """Understand a message of Celery's protocol 2.

    Args:
        message_id: The Celery task id.
        body: JSON text, `[args, kwargs, embed]`.
        max_updates: How many updates a message may carry.

    Returns:
        The message, each of its updates valid or marked as not.

    Raises:
        NotUnderstoodError: If there are no updates to be found in it.
    """
    updates = _read_valid_updates(body)
    if updates is None:
        args, kwargs = decode_body(body)
        return understand(message_id, args, kwargs, max_updates=max_updates)
    _check_message_id(message_id)
    _check_count(len(updates), max_updates)
    return Message(message_id, updates)


def _read_valid_updates(body: bytes | str) -> tuple[StatusUpdate, ...] | None:
    if len(body) > MAX_BODY_BYTES:
        return None
    if body[:3] in (b"[[[", "[[["):
        many = decode_valid(_decode_many, body)
        return None if many is None else tuple(many[0][0])
    one = decode_valid(_decode_one, body)
    return None if one is None else (one[1],)


def decode_valid(decode: Callable[[bytes], Result], body: bytes | str) -> Result | None:
    """Decode updates that are valid.

    Args:
        decode: From JSON straight to them.
        body: What was received.

    Returns:
        None if one may not be valid: it must be looked at piece by piece.
    """
    try:
        text = body.encode() if isinstance(body, str) else body
        if not text.isascii():
            # What is skipped is not looked at, and must be text all the same.
            text.decode()
        # Otherwise NUL stands in no JSON.
        return None if b"\\u0000" in text else decode(text)
    except (ValueError, RecursionError):
        return None


def decode_body(body: bytes | str) -> tuple[Any, Any]:
    """Take args and kwargs out of the body of a Celery protocol 2 message.

    Args:
        body: JSON text, `[args, kwargs, embed]`.

    Raises:
        NotUnderstoodError: If it is not, or is too large to be looked at.
    """
    if len(body) > MAX_BODY_BYTES:
        raise NotUnderstoodError(
            f"the body is {len(body):,} bytes, more than {MAX_BODY_BYTES:,}: send smaller messages"
        )
    if is_too_dense(body):
        return _decode_dense_body(body)
    try:
        args, kwargs, _ = _decode_any(body)
    except (ValueError, RecursionError):
        # The stricter parser refuses a whole message for one lone surrogate;
        # this one lets the update that has it be singled out.
        return _decode_odd_body(body)
    return args, kwargs


def _decode_dense_body(body: bytes | str) -> tuple[Any, Any]:
    try:
        return decode_sparsely(body)
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError(why_too_dense(error, "send smaller messages")) from error


def _decode_odd_body(body: bytes | str) -> tuple[Any, Any]:
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError(f"the body is not JSON: {error}") from error
    match decoded:
        case [args, kwargs, _]:
            return args, kwargs
    raise NotUnderstoodError("the body is not [args, kwargs, embed] (Celery protocol 2)")


def understand(message_id: Any, args: Any, kwargs: Any, *, max_updates: int) -> Message:
    """Understand the arguments of a message as updates.

    Args:
        message_id: The Celery task id.
        args: `[[{"id": …, "status": …}, …]]`, or empty.
        kwargs: `{"id": …, "status": …}`, or empty.
        max_updates: How many updates a message may carry.

    Returns:
        The message, each of its updates valid or marked as not.

    Raises:
        NotUnderstoodError: If there are no updates to be found in it.
    """
    _check_message_id(message_id)
    match args, kwargs:
        case [], {"id": _} | {"status": _}:
            updates = [kwargs]
        case [[list(updates)], {}] if not kwargs:
            pass
        case _:
            raise NotUnderstoodError(
                "send kwargs {id, status} for one update, or args [[{id, status}, …]] for several"
            )
    _check_count(len(updates), max_updates)
    return Message(message_id, tuple(map(validate, updates)))


def _check_message_id(message_id: Any) -> None:
    if not isinstance(message_id, str) or not message_id:
        raise NotUnderstoodError("the message id (header 'id') must be a non-empty string")
    if len(message_id) > MAX_MESSAGE_ID_CHARACTERS:
        raise NotUnderstoodError(
            f"the message id has {len(message_id):,} characters: "
            f"send one of at most {MAX_MESSAGE_ID_CHARACTERS}"
        )
    if text := explain_text(message_id):
        raise NotUnderstoodError(f"the message id cannot be stored: {text}")


def _check_count(count: int, max_updates: int) -> None:
    if not 1 <= count <= max_updates:
        raise NotUnderstoodError(f"a message carries 1 to {max_updates} updates, this one {count}")


def unintelligible(message_id: Any, error: str, raw: str) -> Message:
    """Stand in for a message that cannot be understood, so that it is answered too.

    Args:
        message_id: The Celery task id, if it has one.
        error: Why it cannot be understood.
        raw: The message as received.
    """
    said = printable(error, MAX_ERROR_CHARACTERS) or "it cannot be understood"
    if isinstance(message_id, str) and len(message_id) > MAX_MESSAGE_ID_CHARACTERS:
        said += f" (its message id is cut to {MAX_MESSAGE_ID_CHARACTERS} characters)"
    return Message(printable(message_id, MAX_MESSAGE_ID_CHARACTERS), (InvalidUpdate(said, raw),))


def validate(update: Any) -> Update:
    """Check one update, as decoded from JSON."""
    try:
        return check(with_ids_as_text(update))
    except InvalidUpdateError as error:
        fields = update if isinstance(update, dict) else {}
        return InvalidUpdate(
            error=str(error),
            raw=write_down(update),
            id=printable(fields.get("id")),
            status=printable(fields.get("status")),
        )


def is_json(body: Any) -> bool:
    """Return whether a body can be read, whatever it says."""
    try:
        _decode_nothing(body)
    except (TypeError, ValueError, RecursionError):
        return _is_odd_json(body)
    return True


def _is_odd_json(body: Any) -> bool:
    if is_too_dense(body):
        return False
    try:
        json.loads(body)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def write_down(value: Any) -> str:
    """Write what was received as JSON text, as far as it can be; raises nothing."""
    try:
        return json.dumps(value, default=repr)
    except Exception as error:  # noqa: BLE001 - nested too deeply, or a number without end
        return json.dumps(f"cannot be written down: {type(error).__name__}")


def printable(value: Any, most: int = MAX_ID_CHARACTERS) -> str | None:
    """Return a text that can be sent on as UTF-8, cut to so many characters, or None."""
    if not isinstance(value, str):
        return None
    return value[:most].encode(errors="replace").decode()
