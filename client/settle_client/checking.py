"""Updates that are decoded already: checked, and explained in one line where not valid.

The same rules as `settle_client.update` has for JSON, and slower: for what callers
hand in, and to say what is wrong with JSON that was refused. All fields that are
wrong are named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from settle_client.errors import InvalidUpdateError
from settle_client.update import MAX_ID_CHARACTERS, Status, StatusUpdate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_QUOTED_CHARACTERS = 80
MAX_EXPLAINED = 10

STATUSES: Final = get_args(Status)
_NOT_GIVEN: Final = object()


class Fault(NamedTuple):
    """What is wrong with one field of an update, or with all of it."""

    path: str
    text: str
    given: Any = _NOT_GIVEN


def check(update: StatusUpdate | Mapping[str, Any]) -> StatusUpdate:
    """Return an update that is valid.

    Raises:
        InvalidUpdateError: It is not; the text names the fields.
    """
    given = _fields(update)
    if faults := find_faults(given):
        raise InvalidUpdateError(explain(faults))
    account_id = given.get("accountId")
    return StatusUpdate(
        _plain(given["id"]),
        _plain(given["status"]),
        None if account_id is None else _plain(account_id),
    )


def _fields(update: Any) -> Any:
    if isinstance(update, StatusUpdate):
        return {"id": update.id, "status": update.status, "accountId": update.account_id}
    return update


def _plain(text: Any) -> Any:
    # Of what derives from a text, as an enumeration's members may, the text itself.
    return str.__str__(text)


def check_all(updates: Iterable[Any]) -> list[StatusUpdate]:
    """Return updates that are taken all or none.

    Raises:
        InvalidUpdateError: One is not valid; the text names its place and the fields.
    """
    # Gone through twice, which what generates them cannot be.
    updates = list(updates)
    faults = [
        fault
        for number, update in enumerate(updates)
        for fault in find_faults(update, f"[{number}]")
    ]
    if faults:
        raise InvalidUpdateError(explain(faults))
    return [check(update) for update in updates]


def check_id(value: Any) -> str:
    """Return an event's id that is valid.

    Raises:
        InvalidUpdateError: It is not; the text says why.
    """
    if text := explain_identifier(value):
        raise InvalidUpdateError(explain([Fault("id", text, value)]))
    return str(value)


def find_faults(update: Any, place: str = "") -> list[Fault]:
    """Return what is wrong with an update.

    Args:
        update: Of any type.
        place: Where it stands, such as `[2]`.
    """
    given = _fields(update)
    if not isinstance(given, dict | Mapping):
        return [Fault(place or "update", "must be an object with id and status", update)]
    faults = []
    for name, find in (("id", explain_identifier), ("status", _explain_status)):
        if name not in given:
            faults.append(Fault(_join(place, name), "is required"))
        elif text := find(given[name]):
            faults.append(Fault(_join(place, name), text, given[name]))
    account_id = given.get("accountId")
    if account_id is not None and (text := explain_identifier(account_id)):
        faults.append(Fault(_join(place, "accountId"), text, account_id))
    return faults


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def explain_identifier(value: Any) -> str | None:
    """Say what is wrong with an id, None if nothing is."""
    if not isinstance(value, str):
        return "must be a valid string"
    if not value:
        return "must have at least 1 character"
    if len(value) > MAX_ID_CHARACTERS:
        return f"must have at most {MAX_ID_CHARACTERS} characters"
    return explain_text(value)


def explain_text(text: str) -> str | None:
    """Say why PostgreSQL cannot store a text, None if it can."""
    if "\0" in text:
        return "contains NUL, which PostgreSQL text cannot store"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "must be a valid string, without half of a surrogate pair"
    return None


def _explain_status(value: Any) -> str | None:
    if isinstance(value, str) and value in STATUSES:
        return None
    return f"must be {' or '.join(map(repr, STATUSES))}"


def explain(faults: Sequence[Fault]) -> str:
    """Say in one line which fields are wrong, what they should be, and what was given."""
    texts = [_say(fault) for fault in faults[:MAX_EXPLAINED]]
    if more := len(faults) - len(texts):
        texts.append(f"and {more} more")
    return "; ".join(texts)


def _say(fault: Fault) -> str:
    text = f"{fault.path}: {fault.text}"
    return text if fault.given is _NOT_GIVEN else f"{text}, got {_quote(fault.given)}"


def _quote(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "something nested deeply"
    return text if len(text) <= MAX_QUOTED_CHARACTERS else text[:MAX_QUOTED_CHARACTERS] + "…"
