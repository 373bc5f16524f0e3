"""Outcomes as Server-Sent Events: each with its position as its id, and nothing else in it.

An id without data is no event for its reader, who goes on from there all the same. So it is the
heartbeat, too, and a listener of few outcomes need not begin far back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.outcomes import terms
from gateway.outcomes.forms import written
from gateway.outcomes.hub import Gone, Heard, Signal
from settle_client.outcome import Problem, encode_json

if TYPE_CHECKING:
    from gateway.outcomes.feed import Step
    from gateway.outcomes.positions import Position

RETRY = b"retry: 1000\n\n"
_PROBLEMS = {
    Signal.AWAY: (503, terms.STAYS),
    Signal.CUT: (503, terms.CUT),
    Signal.STOPPING: (503, terms.STOPPING),
}


def write(step: Step, position: Position | None, form: str) -> bytes:
    """Write what is to be said; nothing of no outcomes.

    Args:
        step: What has come.
        position: Where the listener is then.
        form: In which form outcomes are given.
    """
    if isinstance(step, Heard):
        return b"".join(
            b"id: %s\ndata: %s\n\n" % (str(entry.position).encode(), written(entry, form))
            for entry in step.entries
        )
    status, message = (410, terms.GAP) if isinstance(step, Gone) else _PROBLEMS[step]
    return write_problem(status, message, position)


def write_problem(status: int, message: str, position: Position | None) -> bytes:
    """Write what is wrong, in the form that every error has, and where the listener is."""
    data = encode_json(Problem.of(status, message))
    place = b"" if position is None else b"id: %s\n" % str(position).encode()
    return b"%sevent: problem\ndata: %s\n\n" % (place, data)


def write_position(position: Position | None) -> bytes:
    """Write where a listener is, as a sign of life."""
    return b": \n\n" if position is None else b"id: %s\n\n" % str(position).encode()
