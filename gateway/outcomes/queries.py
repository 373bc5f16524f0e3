"""What is asked of the outcomes: read off a request, and refused by the name of what is wrong."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn, get_args

from starlette.exceptions import HTTPException

from gateway.outcomes import terms
from gateway.outcomes.filters import UPDATED, Filter
from gateway.outcomes.positions import BEGINNING, Position
from settle_client.outcome import Reason

if TYPE_CHECKING:
    from starlette.requests import Request

REASONS = (UPDATED, *get_args(Reason))
NAMES = ("after", "limit", "wait", "messageId", "reason", "format")
MESSAGE_ID_LENGTH = 255
NUMBER = re.compile(r"\d{1,9}", re.ASCII)


class Query(NamedTuple):
    """A request for outcomes.

    Attributes:
        wanted: Which.
        after: Behind which position; None for from now on.
        from_oldest: Whether that is wherever the oldest is.
        limit: How many at most.
        wait_seconds: How long to wait for the first.
        form: In which form they are given.
    """

    wanted: Filter
    after: Position | None
    from_oldest: bool
    limit: int
    wait_seconds: int
    form: str


def read_query(request: Request, accounts: frozenset[str] | None) -> Query:
    """Read a request for a page.

    Raises:
        HTTPException: Something in it is not valid.
    """
    given = _parameters(request)
    return Query(
        _filter(given, accounts),
        *_begin(given, request),
        _number(given, "limit", terms.LIMIT, 1, terms.MAX_LIMIT),
        _number(given, "wait", 0, 0, terms.MAX_WAIT_SECONDS),
        _form(given),
    )


def read_subscription(request: Request, accounts: frozenset[str] | None) -> Query:
    """Read a request for a stream of events, which has no limit, and may go on an earlier one.

    Raises:
        HTTPException: Something in it is not valid.
    """
    given = _parameters(request)
    if given.keys() & {"limit", "wait"}:
        _refuse(terms.NOT_OF_A_STREAM)
    return Query(_filter(given, accounts), *_begin(given, request), 0, 0, _form(given))


def _parameters(request: Request) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name not in NAMES:
            _refuse(terms.unknown_parameter(name, NAMES))
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        if name != "reason" and len(values) > 1:
            _refuse(f"{name}: must be given once")
    return given


def _filter(given: dict[str, list[str]], accounts: frozenset[str] | None) -> Filter:
    message_id = given.get("messageId", [None])[0]
    if message_id is not None and not 1 <= len(message_id) <= MESSAGE_ID_LENGTH:
        _refuse(f"messageId: must be 1 to {MESSAGE_ID_LENGTH} characters")
    reasons = given.get("reason")
    for reason in reasons or ():
        if reason not in REASONS:
            _refuse(f"reason: must be one of {', '.join(REASONS)}, got {reason[:100]!r}")
    return Filter(accounts, message_id, frozenset(reasons) if reasons else None)


def _form(given: dict[str, list[str]]) -> str:
    form = given.get("format", [terms.AS_THEY_ARE])[0]
    if form not in terms.FORMATS:
        _refuse(f"format: must be {' or '.join(terms.FORMATS)}, got {form[:100]!r}")
    return form


def _begin(given: dict[str, list[str]], request: Request) -> tuple[Position | None, bool]:
    place = _place("after", given["after"][0]) if "after" in given else (None, False)
    # Sent by who had a stream of this address, and has read on since.
    last = request.headers.get("last-event-id")
    return place if last is None else _place("Last-Event-ID", last)


def _place(name: str, text: str) -> tuple[Position | None, bool]:
    if text == terms.OLDEST:
        return BEGINNING, True
    try:
        return Position.parse(text), False
    except ValueError:
        _refuse(terms.not_a_position(name))


def _number(given: dict[str, list[str]], name: str, default: int, least: int, most: int) -> int:
    if name not in given:
        return default
    text = given[name][0]
    number = int(text) if NUMBER.fullmatch(text) else -1
    if not least <= number <= most:
        _refuse(f"{name}: must be a number from {least} to {most:,}, got {text[:100]!r}")
    return number


def _refuse(message: str) -> NoReturn:
    raise HTTPException(400, message)
