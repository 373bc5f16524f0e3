"""The parameters of a list of events, understood or refused by name; pure."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

from db.listing import Listing, State
from gateway.events.cursors import read_cursor
from settle_client.checking import explain_identifier
from tasks.errors import NotUnderstoodError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from db.listing import ListPosition

STATES = get_args(State)
PAGE_SIZE, MAX_PAGE_SIZE, MAX_PAGE = 10, 1_000, 1_000_000
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
MAX_QUOTED_CHARACTERS = 80


def understand_parameters(
    given: Sequence[tuple[str, str]], accounts: frozenset[str] | None
) -> Listing:
    """Understand the parameters of a request as what to list.

    Args:
        given: Their names and values, decoded.
        accounts: Whose events there are, None for all.

    Raises:
        NotUnderstoodError: One is not valid; the text names it, and says what it should be.
    """
    for name, count in Counter(name for name, _ in given).items():
        if name not in READERS:
            raise NotUnderstoodError(
                f"{_quote(name)} is no parameter of this list: there are {', '.join(READERS)}"
            )
        if count > 1:
            raise NotUnderstoodError(f"{name}: must be given once, not {count} times")
    values = {name: _read(name, value) for name, value in given}
    if "page" in values and "after" in values:
        raise NotUnderstoodError("page: cannot be given with after, which says where to begin")
    size = values.get("pageSize", PAGE_SIZE)
    return Listing(
        size,
        skip=(values.get("page", 1) - 1) * size,
        state=values.get("status"),
        event_type=values.get("event_type"),
        created_after=values.get("created_after"),
        created_before=values.get("created_before"),
        accounts=_narrow(accounts, values.get("accountId")),
        after=values.get("after"),
    )


def _narrow(accounts: frozenset[str] | None, account_id: str | None) -> frozenset[str] | None:
    if account_id is None:
        return accounts
    wanted = frozenset([account_id])
    return wanted if accounts is None else wanted & accounts


def _read(name: str, value: str) -> Any:
    try:
        return READERS[name](value)
    except ValueError as error:
        raise NotUnderstoodError(f"{name}: {error}, got {_quote(value)}") from None


def _status(value: str) -> str:
    if value not in STATES:
        raise ValueError("must be pending, completed or failed")
    return value


def _text(value: str) -> str:
    if fault := explain_identifier(value):
        raise ValueError(fault)
    return value


def _number(most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        number = int(value) if re.fullmatch("[0-9]{1,10}", value) else 0
        if not 1 <= number <= most:
            raise ValueError(f"must be a whole number from 1 to {most:,}")
        return number

    return read


def _moment(value: str) -> datetime:
    if MOMENT.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper())
        except ValueError:
            pass
    raise ValueError(
        "must be a time with its zone, such as 2026-11-23T09:00:00Z (a + is sent as %2B)"
    )


def _cursor(value: str) -> ListPosition:
    place = read_cursor(value)
    if place is None:
        raise ValueError("must be taken as it is from the header Link of a page")
    return place


READERS: dict[str, Callable[[str], Any]] = {
    "status": _status,
    "event_type": _text,
    "page": _number(MAX_PAGE),
    "pageSize": _number(MAX_PAGE_SIZE),
    "created_after": _moment,
    "created_before": _moment,
    "accountId": _text,
    "after": _cursor,
}


def _quote(value: str) -> str:
    text = ascii(value)
    return text if len(text) <= MAX_QUOTED_CHARACTERS else text[:MAX_QUOTED_CHARACTERS] + "…"
