"""A server of the tests' own, for what asks one step by step: a script, and a clock."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from settle_client import Outcome
from settle_client.steps import Pause, Together

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server:
    """Answers commands from a script, and takes the time for which it is asked to wait."""

    def __init__(self, *replies: Any) -> None:
        self.replies: Iterator[Any] = iter(replies)
        self.commands: list[tuple[Any, ...]] = []
        self.pauses: list[float] = []
        self.time = 0.0

    def now(self) -> float:
        """Return the time."""
        return self.time

    def __call__(self, step: Any) -> Any:
        """Answer."""
        if isinstance(step, Pause):
            self.pauses.append(step.seconds)
            self.time += step.seconds
            return None
        if isinstance(step, Together):
            *_, step = step.commands
            return [{}, [], self(step)]
        self.commands.append(step)
        reply = next(self.replies, None)
        if reply is None and "BLOCK" in step:
            self.time += step[step.index("BLOCK") + 1] / 1000
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def names(self) -> list[str]:
        """Return what was asked, without arguments."""
        return [command[0] for command in self.commands]


def outcome(
    id_: str = "ev_1", message_id: str = "m", status: str = "failed", index: int | None = None
) -> Outcome:
    """Make an outcome; of another event, it is of another place in its message."""
    return Outcome(
        id=id_,
        updated=False,
        status=status,
        reason="not_found",
        message_id=message_id,
        index=zlib.crc32(id_.encode()) if index is None else index,
        account_id=None,
        event_type=None,
        created_at=None,
        completed_at=None,
        failed_at=None,
    )


def entries(*outcomes: Outcome, first: int = 1) -> list[Any]:
    """Return entries of the stream."""
    numbered = enumerate(outcomes, first)
    return [(f"{number}-0", {"outcome": one.to_json().decode()}) for number, one in numbered]


def stream(*outcomes: Outcome, first: int = 1) -> Any:
    """Return a reply to XREAD."""
    return [["event-outcomes", entries(*outcomes, first=first)]]
