"""Updates sent, many to a message; what is known to be sent is known at every moment.

So that whoever is interrupted, or has lost the broker, can go on where that was. A message
whose fate is not known is sent again then: its updates are answered, and settle nothing twice.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from cli.errors import say_of_broker
from cli.interruption import undisturbed
from cli.lines.reading import Place
from cli.lines.refusals import Refusals
from settle_client import NotSentError, Producer, SettleError
from tasks.messages import InvalidUpdate, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from service.settings import Settings
    from settle_client import StatusUpdate

# How long a broker that is away is waited for.
SEND_SECONDS = 5.0


@dataclass
class Sent:
    """What has gone out so far, and what has not.

    Attributes:
        messages: The ids of the events in each message, by the message's id.
        start_at: From where on nothing is known to be sent, while that is so.
    """

    messages: dict[str, list[str]] = field(default_factory=dict)
    refusals: Refusals = field(default_factory=Refusals)
    updates: int = 0
    start_at: Place | None = None
    _places: dict[str, Place] = field(default_factory=dict)

    def add(self, message_id: str, chunk: list[tuple[Place, StatusUpdate]]) -> None:
        """Record a message."""
        self.messages[message_id] = [update.id for _, update in chunk]
        self.updates += len(chunk)
        (self._places[message_id], _), (last, _) = chunk[0], chunk[-1]
        self.start_at = Place(last.noun, last.number + 1) if last.number else None

    def remove(self, message_ids: Iterable[str]) -> None:
        """Take back messages that are not known to be sent after all."""
        places = []
        for message_id in message_ids:
            self.updates -= len(self.messages.pop(message_id, ()))
            if (place := self._places.pop(message_id, None)) and place.number:
                places.append(place)
        if places:
            self.start_at = min(places, key=lambda place: place.number)

    def summary(self) -> str:
        """Say it in one line."""
        text = (
            f"Sent {_counted(self.updates, 'update')} in {_counted(len(self.messages), 'message')}"
        )
        refused = self.refusals.count
        return text + (f"; not sent: {refused:,} that are not valid" if refused else "")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def send_all(
    updates: Iterator[tuple[Place, Any]],
    sent: Sent,
    settings: Settings,
    *,
    size: int,
    report: Callable[[int], None],
) -> None:
    """Send what is valid, in messages of at most `size` updates.

    Args:
        updates: As they are read.
        sent: Is told what goes out, and what is not valid.
        settings: Which name the broker.
        size: Of a message.
        report: Is called with how many are sent.

    Raises:
        SettleError: The broker went away.
    """
    producer = Producer(
        settings.named_broker_url, timeout_seconds=SEND_SECONDS, **settings.broker_options
    )
    try:
        with _closed_in_peace(producer):
            valid = _valid(updates, sent)
            while chunk := list(islice(valid, size)):
                message_id = producer.send_together([update for _, update in chunk])
                sent.add(message_id, chunk)
                report(sent.updates)
    except NotSentError as error:
        sent.remove(error.message_ids)
        raise SettleError(say_of_broker(error.__cause__ or error)) from error


@contextmanager
def _closed_in_peace(producer: Producer) -> Iterator[None]:
    """Wait for what is under way at the end, for some seconds, whoever is impatient."""
    try:
        yield
    finally:
        with undisturbed():
            producer.close()


def _valid(
    updates: Iterator[tuple[Place, Any]], sent: Sent
) -> Iterator[tuple[Place, StatusUpdate]]:
    for place, value in updates:
        if sent.start_at is None and place.number:
            sent.start_at = place
        update = value if isinstance(value, InvalidUpdate) else validate(value)
        if isinstance(update, InvalidUpdate):
            sent.refusals.add(place, update.error)
        else:
            yield place, update
