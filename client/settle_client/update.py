"""An update: what is asked for one event, checked, and explained where it is not valid.

The one definition of it, for whoever sends updates and for the service that takes
them. Nothing here sends or applies one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from settle_client.errors import InvalidUpdateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Status = Literal["completed", "failed"]

MAX_ID_CHARACTERS = 255
MAX_QUOTED_CHARACTERS = 80
MAX_EXPLAINED = 10


def storable(text: str) -> str:
    """Return a text that PostgreSQL can store, as it is.

    Raises:
        ValueError: It cannot.
    """
    if "\0" in text:
        raise ValueError("contains NUL, which PostgreSQL text cannot store")
    return text


# The pattern is for readers of the schema: `storable` checks, and says why.
Identifier = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ID_CHARACTERS, json_schema_extra={"pattern": r"^[^\x00]*$"}),
    AfterValidator(storable),
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


check_one: Callable[[Any], StatusUpdate] = TypeAdapter(StatusUpdate).validator.validate_python
_check_many: Callable[[Any], list[StatusUpdate]] = TypeAdapter(
    list[StatusUpdate]
).validator.validate_python


def check(update: StatusUpdate | Mapping[str, Any]) -> StatusUpdate:
    """Return an update that is valid.

    Raises:
        InvalidUpdateError: It is not; the text names the field.
    """
    if isinstance(update, StatusUpdate):
        return update
    try:
        return check_one(dict(update))
    except ValidationError as error:
        raise InvalidUpdateError(explain(error)) from error


def check_all(updates: list[Any]) -> list[StatusUpdate]:
    """Check updates, as decoded from JSON, that are taken all or none.

    Raises:
        ValidationError: One of them is not valid; see `explain`.
    """
    return _check_many(updates)


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
