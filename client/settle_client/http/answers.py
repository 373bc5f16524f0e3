"""What a gateway answers, read; pure.

What nobody can hold in Python, as a payload that is nested a thousand deep, hinders nobody:
it is the text that it is, as `settle_client.salvage` has it, and what stands beside it is read.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from settle_client.http.problems import error_of, unread
from settle_client.salvage import UnreadOutcome, cut_elements, cut_value, read_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from settle_client.event import CreatedEvent, Event
    from settle_client.http.exchange import Answer
    from settle_client.outcome import Outcome

    Shown = TypeVar("Shown", Event, CreatedEvent)

JSON_TYPE = "application/json"


class OutcomePage(NamedTuple):
    """Some outcomes, and the position behind them, to read on from."""

    outcomes: list[Outcome]
    after: str


class MessageState(NamedTuple):
    """How a message stands: the outcomes that are there, and how many are awaited."""

    outcomes: list[Outcome]
    awaited: int


class _Page(msgspec.Struct):
    after: str


class _State(msgspec.Struct):
    awaited: int


def text_of(answer: Answer) -> str:
    """Return the JSON of an answer that is a success.

    Raises:
        GatewayError: It is an error, or no answer of a gateway.
    """
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's
        raise error_of(answer)
    if answer.content_type != JSON_TYPE:
        raise unread(answer)
    return answer.body.decode(errors="replace")


@contextmanager
def _understanding(answer: Answer) -> Iterator[None]:
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise unread(answer) from error


def read_shown(answer: Answer, kind: type[Shown]) -> Shown:
    """Read an answer that is an event."""
    text = text_of(answer)
    with _understanding(answer):
        return _shown(text, kind)


def read_all_shown(answer: Answer, kind: type[Shown]) -> list[Shown]:
    """Read an answer that is an array of events."""
    text = text_of(answer)
    with _understanding(answer):
        return [_shown(element, kind) for element in _elements(text)]


def read_one_outcome(answer: Answer) -> Outcome:
    """Read an answer that is an outcome."""
    outcome = read_outcome(text_of(answer))
    if isinstance(outcome, UnreadOutcome):
        raise unread(answer)
    return outcome


def read_outcomes(answer: Answer, count: int) -> list[Outcome]:
    """Read an answer that is an array of so many outcomes."""
    text = text_of(answer)
    with _understanding(answer):
        outcomes = [read_outcome(element) for element in _elements(text)]
    if len(outcomes) != count:
        raise unread(answer)
    return outcomes


def read_outcome_page(answer: Answer) -> OutcomePage:
    """Read an answer that is a page of outcomes."""
    rest, outcomes = _outcomes_in(answer)
    with _understanding(answer):
        return OutcomePage(outcomes, msgspec.json.decode(rest, type=_Page).after)


def read_state(answer: Answer) -> MessageState:
    """Read an answer that says how a message stands."""
    rest, outcomes = _outcomes_in(answer)
    with _understanding(answer):
        return MessageState(outcomes, msgspec.json.decode(rest, type=_State).awaited)


def _outcomes_in(answer: Answer) -> tuple[str, list[Outcome]]:
    rest, array = cut_value(text_of(answer), "outcomes")
    if not isinstance(array, str):
        raise unread(answer)
    with _understanding(answer):
        return rest, [read_outcome(element) for element in _elements(array)]


def _elements(text: str) -> Iterator[str]:
    try:
        raws = msgspec.json.decode(text, type=list[msgspec.Raw])
    except RecursionError:
        yield from cut_elements(text)
    else:
        yield from (bytes(raw).decode() for raw in raws)


def _shown(text: str, kind: type[Shown]) -> Shown:
    try:
        return kind.from_json(text)
    except (ValueError, RecursionError):
        rest, payload = cut_value(text, "payload")
        return msgspec.structs.replace(kind.from_json(rest), payload=payload)
