"""From what the broker delivered to messages that are held.

A message is understood, or refused: then it carries an answer and no update. One
that asks for a later time is put off, one that has expired or was revoked is
dropped: those are Celery's own options, and its `Request` implements them. What
is held leaves in batches, which is the strategy's.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from celery.worker import state

from worker.batching.held import Held, hold, hold_plain, is_revoked, uses_options
from worker.telling import measuring
from worker.telling.log_lines import log_refused
from worker.transport.redis.fetch import Fetched
from worker.understanding.plain import read_plain
from worker.understanding.receiving import SetAside, receive, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tasks.messages import Message
    from worker.acknowledging.answers import Answers
    from worker.telling.task_events import TaskEvents


class Owner(Protocol):
    """Who holds the messages."""

    abandoned: bool
    consumer: Any
    events: TaskEvents

    def hold(self, came: Sequence[Held], *, is_new: bool = True) -> None:
        """Hold messages."""
        ...

    def call_later(self, seconds: float, function: Any, *args: Any) -> Any:
        """Call a function in the consumer's thread, and return what can be cancelled."""
        ...


class Intake:
    """The way in of one connection."""

    def __init__(
        self,
        owner: Owner,
        answers: Answers,
        make_request: Callable[[Any], Any],
        *,
        max_updates: int,
    ) -> None:
        """Take messages for an owner.

        Args:
            owner: Who holds them.
            answers: Where it is told what Celery has answered.
            make_request: Makes Celery's view of what was delivered.
            max_updates: How many updates a message may carry.
        """
        self._owner = owner
        self._answers = answers
        self._make_request = make_request
        self._max_updates = max_updates

    def take(self, came: Iterable[Fetched]) -> int:
        """Take the plain messages that stand first, and return how many they are."""
        plain: list[Held] = []
        shown = self._owner.events.wanted
        for fetched in came:
            read = read_plain(fetched.item, max_updates=self._max_updates, shown=shown)
            if read is None or not fetched.tag or is_revoked(read.message.id):
                break
            plain.append(hold_plain(fetched, read))
        if plain:
            measuring.fetched("plain", len(plain))
            self._owner.hold(plain)
        return len(plain)

    def accept(self, delivered: Any, payload: Any) -> None:
        """Take one message as kombu delivered it.

        Args:
            delivered: The `kombu.Message`.
            payload: Its decoded body if it is of Celery protocol 1, else None.
        """
        self._answers.took(delivered.delivery_tag)
        try:
            message = receive(delivered, payload, max_updates=self._max_updates)
            request = self._make_request(delivered) if uses_options(delivered) else None
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is answered
            self.refuse(delivered, str(error))
            return
        measuring.fetched("other")
        held = hold(delivered, message, request)
        if held.invalid_share:
            log_refused(message)
        if request is None or not self._drops_or_delays(held):
            self._owner.hold([held])

    def refuse(self, delivered: Any, error: str) -> None:
        """Answer a message that carries no updates, in turn with the others."""
        log_refused(self._refuse(delivered, error))

    def _refuse(self, delivered: Any, error: str) -> Message:
        measuring.fetched("other")
        self._answers.took(delivered.delivery_tag)
        held = hold(delivered, refuse(delivered, error))
        self._owner.hold([held])
        return held.message

    def on_set_aside(self, item: bytes, queue: str, reason: str, tag: str) -> None:
        """Answer what the transport did not deliver, and has logged."""
        self._refuse(SetAside(item, queue, tag), reason)

    def _drops_or_delays(self, held: Held) -> bool:
        request = held.request
        if request.revoked():
            self._answers.forget(held.tag)
            return True
        if not request.eta:
            return False
        self._owner.events.received([held])
        # A delayed message must not take the place of one that could be applied.
        self._owner.consumer.qos.increment_eventually()
        pause = max(0.0, (request.eta - datetime.now(UTC)).total_seconds())
        self._answers.park(held.tag)
        entry = self._owner.call_later(pause, self._on_due, request, held)
        request._eta_timer_entry = entry  # noqa: SLF001 - what Celery cancels when the connection is lost
        state.task_scheduled(request)
        return True

    def _on_due(self, request: Any, held: Held) -> None:
        state.task_ready(request)
        if not self._owner.abandoned:
            self._owner.consumer.qos.decrement_eventually()
            self._answers.unpark(held.tag)
            self._owner.hold([held], is_new=False)

    def drops_meanwhile(self, held: Held) -> bool:
        """Drop a message that was revoked, or has expired, while it was held."""
        request = held.request
        if request is None:
            if not is_revoked(held.message.id):
                return False
            with suppress(Exception):
                request = self.request_of(held)
        dropped = bool(request is not None and request.revoked())
        if dropped:
            self._answers.forget(held.tag)
        return dropped

    def request_of(self, held: Held) -> Any:
        """Return Celery's view of a message.

        Raises:
            Exception: It is none of Celery's; whatever is wrong with it.
        """
        delivered = held.delivered
        if self._answers.channel is not None and isinstance(delivered, Fetched):
            delivered = self._answers.channel.understand(delivered)
        return held.request or self._make_request(delivered)
