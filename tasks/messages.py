"""What comes in: a message and its updates, understood one by one.

An update that is not valid becomes an `InvalidUpdate` and travels on beside its
neighbours, so that it is answered and they are not harmed. A message that
cannot be understood at all becomes one `InvalidUpdate` without an id. Nothing
here touches Celery: the raw parts of a message are handed in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tasks.errors import NotUnderstoodError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Status = Literal["completed", "failed"]

# A thousand updates that are whole events of eight kibibytes each.
MAX_BODY_BYTES = 8 * 2**20
MAX_ID_CHARACTERS = 255
MAX_QUOTED_CHARACTERS = 80
MAX_EXPLAINED = 10


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("contains NUL, which PostgreSQL text cannot store")
    return text


# The pattern is for readers of the schema: `_storable` checks, and says why.
Identifier = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ID_CHARACTERS, json_schema_extra={"pattern": r"^[^\x00]*$"}),
    AfterValidator(_storable),
]


class StatusUpdate(BaseModel):
    """A request to settle one event.

    Other attributes of the event may come with it and are ignored.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        json_schema_extra={"additionalProperties": True},
    )

    id: Identifier = Field(description="The event's id.", examples=["ev_1"])
    status: Status = Field(description="What the event becomes.", examples=["completed"])
    account_id: Identifier | None = Field(
        default=None,
        alias="accountId",
        description="If given, an event of another account is treated as not found.",
        examples=["acct_9"],
    )


@dataclass(frozen=True, slots=True)
class InvalidUpdate:
    """An update, or a whole message, that cannot be applied, and why.

    `id` and `status` are what can be told of them, for the outcome. `raw` is
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


_validate_one: Callable[[Any], StatusUpdate] = TypeAdapter(StatusUpdate).validator.validate_python
_validate_many: Callable[[Any], list[StatusUpdate]] = TypeAdapter(
    list[StatusUpdate]
).validator.validate_python
# What Celery embeds is skipped.
_decode_body = msgspec.json.Decoder(tuple[Any, Any, msgspec.Raw]).decode


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
    try:
        args, kwargs, _ = _decode_body(body)
    except (ValueError, RecursionError):
        # The stricter parser refuses a whole message for one lone surrogate;
        # this one lets the update that has it be singled out.
        return _decode_odd_body(body)
    return args, kwargs


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
    if not isinstance(message_id, str) or not message_id:
        raise NotUnderstoodError("the message id (header 'id') must be a non-empty string")
    _check_storable_message_id(message_id)
    match args, kwargs:
        case [], {"id": _} | {"status": _}:
            updates = [kwargs]
        case [[list(updates)], {}] if not kwargs:
            pass
        case _:
            raise NotUnderstoodError(
                "send kwargs {id, status} for one update, or args [[{id, status}, …]] for several"
            )
    if not 1 <= len(updates) <= max_updates:
        raise NotUnderstoodError(
            f"a message carries 1 to {max_updates} updates, this one {len(updates)}"
        )
    return Message(message_id, tuple(_validate_all(updates)))


def unintelligible(message_id: Any, error: str, raw: str) -> Message:
    """Stand in for a message that cannot be understood, so that it is answered too.

    Args:
        message_id: The Celery task id, if it has one.
        error: Why it cannot be understood.
        raw: The message as received.
    """
    return Message(_printable(message_id), (InvalidUpdate(error, raw),))


def _check_storable_message_id(message_id: str) -> None:
    try:
        _storable(message_id).encode()
    except ValueError as error:
        raise NotUnderstoodError(f"the message id cannot be stored: {error}") from error


def _validate_all(updates: list[Any]) -> Sequence[Update]:
    try:
        return check_all(updates)
    except ValidationError:
        return [validate(update) for update in updates]


def check_all(updates: list[Any]) -> list[StatusUpdate]:
    """Check updates, as decoded from JSON, that are taken all or none.

    Raises:
        ValidationError: One of them is not valid; see `explain`.
    """
    return _validate_many(updates)


def validate(update: Any) -> Update:
    """Check one update, as decoded from JSON."""
    try:
        return _validate_one(update)
    except ValidationError as error:
        fields = update if isinstance(update, dict) else {}
        return InvalidUpdate(
            error=explain(error),
            raw=json.dumps(update),
            id=_printable(fields.get("id")),
            status=_printable(fields.get("status")),
        )


def explain(error: ValidationError, whole: str = "update", *, quoting: bool = True) -> str:
    """Say in one line which fields are wrong and what they should be.

    Args:
        error: What was found.
        whole: What to call the value if it is wrong as a whole.
        quoting: Say what was given, too.
    """
    details = error.errors(include_url=False, include_context=False, include_input=quoting)
    told = [_explain_field(detail, whole) for detail in details[:MAX_EXPLAINED]]
    if more := len(details) - len(told):
        told.append(f"and {more} more")
    return "; ".join(told)


def _explain_field(detail: Any, whole: str) -> str:
    field = _path(detail["loc"]) or whole
    if detail["type"] == "missing":
        return f"{field}: is required"
    text = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "model_type":
        text = "must be an object with id and status"
    text = text.replace("Input should be", "must be").replace("String should", "must")
    if "input" not in detail:
        return f"{field}: {text}"
    return f"{field}: {text}, got {_quoted(detail['input'])}"


def _quoted(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "something nested deeply"
    return text if len(text) <= MAX_QUOTED_CHARACTERS else text[:MAX_QUOTED_CHARACTERS] + "…"


def _path(location: Sequence[int | str]) -> str:
    """Write where in a document a value stands: `[2].status`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def _printable(value: Any) -> str | None:
    """Return a text that can be sent on as UTF-8, cut to an id's length, or None."""
    if not isinstance(value, str):
        return None
    return value[:MAX_ID_CHARACTERS].encode(errors="replace").decode()
