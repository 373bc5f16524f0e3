"""Whether messages were applied before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from settle_client.update import StatusUpdate
from tasks.looking_up import were_applied
from tasks.messages import InvalidUpdate, Message

if TYPE_CHECKING:
    from collections.abc import Sequence


class Settled:
    """Events, each with the message that settled it."""

    def __init__(self, **settlers: str) -> None:
        self.settlers = settlers
        self.asked: list[Sequence[str]] = []

    def read_settlers(self, event_ids: Sequence[str]) -> dict[str, str]:
        """Read."""
        self.asked.append(event_ids)
        return {id_: self.settlers[id_] for id_ in event_ids if id_ in self.settlers}


def message(id_: str | None, *events: str) -> Message:
    """Make a message that completes events; one that is empty is not valid."""
    return Message(
        id_,
        tuple(
            StatusUpdate(id=event, status="completed") if event else InvalidUpdate("bad", "{}")
            for event in events
        ),
    )


def test_a_message_was_applied_if_an_event_says_so() -> None:
    """One is enough; who else settled the others, or whether they are pending, says nothing."""
    events = Settled(a="m", b="other", c="n")
    messages = [
        message("m", "b", "pending", "", "a"),
        message("m", "b", "c"),
        message("n", "a", "b"),
        message("n", "c"),
        message(None, ""),
    ]
    assert were_applied(messages, events) == [True, False, False, True, False]


def test_all_are_looked_up_at_once() -> None:
    """Each event once, in order."""
    events = Settled()
    were_applied([message("m", "b", "a"), message("n", "a", "c")], events)
    assert events.asked == [["b", "a", "c"]]
