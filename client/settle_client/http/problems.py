"""What is wrong, as it was answered: errors of the contract, and what is no answer of it; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import msgspec

from settle_client.errors import (
    ConflictError,
    GatewayError,
    GoneError,
    NotFoundError,
    RefusedError,
    UnreadAnswerError,
)
from settle_client.outcome import Problem

if TYPE_CHECKING:
    from settle_client.http.exchange import Answer

# A gateway's, while something is away, and what a proxy says in its place.
LATER = frozenset({408, 425, 429, 502, 503, 504})
MAX_QUOTED_CHARACTERS = 80
_KINDS: dict[int, type[RefusedError]] = {404: NotFoundError, 409: ConflictError}
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')
_AFTER = re.compile(r"[?&]after=([^&]*)")


def error_of(answer: Answer) -> GatewayError:
    """Return what an answer is that is no success."""
    try:
        problem = msgspec.json.decode(answer.body, type=Problem)
    except (ValueError, RecursionError):
        return unread(answer)
    return error_from(problem, next_place(answer))


def error_from(problem: Problem, begin: str | None) -> RefusedError:
    """Return an error as it is raised.

    Args:
        problem: What the gateway says.
        begin: Where it says to begin.
    """
    message = f"{problem.status_code} {problem.error}: {problem.message}"
    if problem.status_code == 410:  # noqa: PLR2004 - HTTP's
        return GoneError(message, problem, begin)
    return _KINDS.get(problem.status_code, RefusedError)(message, problem)


def unread(answer: Answer) -> UnreadAnswerError:
    """Say that an answer is none of a gateway's."""
    what = f"{answer.status} {answer.content_type}".strip()
    if place := answer.headers.get("location"):
        what = f"{what}, to go to {_short(place)}"
    elif answer.body:
        what = f"{what}, {_short(answer.body[:1_000].decode(errors='replace'))!r}"
    return UnreadAnswerError(f"this is no answer of Settle's, see whether the URL is right: {what}")


def next_place(answer: Answer) -> str | None:
    """Return the `after` of the page that an answer names as the next (RFC 8288)."""
    found = _NEXT.search(answer.headers.get("link", ""))
    place = found and _AFTER.search(found[1])
    return unquote_plus(place[1]) if place else None


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_QUOTED_CHARACTERS else text[:MAX_QUOTED_CHARACTERS] + "…"
