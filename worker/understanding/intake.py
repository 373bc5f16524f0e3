"""From what the broker delivered to messages that are held.

A message is understood, or refused: then it carries an answer and no update. One
that asks for a later time is put off, one that has expired or was revoked is
dropped; if it may have been applied before, a slot looks that up. What is held leaves
in batches, which is not decided here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery.worker import state

from worker.held import Held, hold
from worker.seams.delays import remember_timer
from worker.telling import measuring
from worker.telling.log_lines import log_refused
from worker.understanding.options import is_revoked, uses_options, why_dropped
from worker.understanding.other import receive, refuse
from worker.understanding.plain import read_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tasks.messages import Message
    from worker.seams.loop import Loop
    from worker.telling.task_events import TaskEvents
    from worker.transport.broker import Deliveries
    from worker.transport.delivery import RawDelivery, Received
    from worker.understanding.options import Requests


class Intake:
    """The way in of one connection."""

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        requests: Requests,
        task_events: TaskEvents,
        loop: Loop,
        prefetch: Any,
        hold_new: Callable[[Sequence[Held]], None],
        hold_due: Callable[[Held], None],
        drop: Callable[[Sequence[Held]], None],
        max_updates: int,
    ) -> None:
        """Take messages from a broker.

        Args:
            deliveries: Where it is accounted for what came by way of kombu.
            requests: Make Celery's view of a delivery.
            task_events: What monitors see.
            loop: The consumer's.
            prefetch: Celery's consumer, for its `qos`, made when it consumes.
            hold_new: Holds messages that came.
            hold_due: Holds a message whose time has come.
            drop: Answers messages that are not to be applied.
            max_updates: How many updates a message may carry.
        """
        self._deliveries, self._requests = deliveries, requests
        self._task_events, self._loop, self._prefetch = task_events, loop, prefetch
        self._hold_new, self._hold_due, self._drop = hold_new, hold_due, drop
        self._max_updates = max_updates
        self._abandoned = False

    def take(self, came: Iterable[RawDelivery]) -> int:
        """Take the plain messages that stand first, and return how many they are."""
        plain: list[Held] = []
        shown = self._task_events.wanted
        for delivery in came:
            held = self._read_plain(delivery, shown=shown)
            if held is None or not delivery.tag or is_revoked(held.message.id):
                break
            plain.append(held)
        if plain:
            measuring.fetched("plain", len(plain))
            self._hold_new(plain)
        return len(plain)

    def _read_plain(self, delivery: RawDelivery, *, shown: bool) -> Held | None:
        try:
            return read_plain(delivery, max_updates=self._max_updates, shown=shown)
        except Exception:  # noqa: BLE001 - then it is not plain, and goes the other way
            return None

    def accept(self, delivery: Received) -> None:
        """Take one message as kombu delivered it, whatever it is; raises nothing."""
        measuring.fetched("other")
        self._deliveries.account(delivery)
        held = hold(delivery, receive(delivery, max_updates=self._max_updates))
        try:
            if uses_options(delivery.headers()):
                request = self._requests.make(delivery)
                held = held._replace(request=request, drop_reason=why_dropped(request))
                if not held.drop_reason and self._delays(held):
                    return
        except Exception as error:  # noqa: BLE001 - an option of it makes no sense
            held = hold(delivery, refuse(delivery, error))
        if held.is_to_be_dropped:
            self._drop([held])
            return
        if held.invalid_share:
            log_refused(held.message)
        self._hold_new([held])

    def refuse(self, delivery: Received, error: str) -> None:
        """Answer a message that carries no updates, in turn with the others."""
        log_refused(self._refuse(delivery, error))

    def set_aside(self, delivery: Received, reason: str) -> None:
        """Answer what the transport did not deliver, and has logged."""
        self._refuse(delivery, reason)

    def _refuse(self, delivery: Received, error: str) -> Message:
        measuring.fetched("other")
        self._deliveries.account(delivery)
        held = hold(delivery, refuse(delivery, error))
        self._hold_new([held])
        return held.message

    def _delays(self, held: Held) -> bool:
        request = held.request
        if not request.eta:
            return False
        self._delay(held, request)
        return True

    def _delay(self, held: Held, request: Any) -> None:
        self._task_events.received([held])
        # A delayed message must not take the place of one that could be applied.
        self._prefetch.qos.increment_eventually()
        pause = max(0.0, (request.eta - datetime.now(UTC)).total_seconds())
        self._deliveries.park(held.delivery)
        remember_timer(request, self._loop.call_later(pause, self._on_due, request, held))
        state.task_scheduled(request)

    def _on_due(self, request: Any, held: Held) -> None:
        state.task_ready(request)
        if not self._abandoned:
            self._prefetch.qos.decrement_eventually()
            self._deliveries.unpark(held.delivery)
            self._hold_due(held)

    def look_again(self, held: Held) -> Held:
        """Return a message with why it is to be dropped, if that is so by now."""
        if held.drop_reason or (held.request is None and not is_revoked(held.message.id)):
            return held
        try:
            return held._replace(drop_reason=why_dropped(self.request_of(held)))
        except Exception:  # noqa: BLE001 - it is no message of Celery's, and is answered
            return held

    def request_of(self, held: Held) -> Any:
        """Return Celery's view of a message.

        Raises:
            Exception: It is none of Celery's; whatever is wrong with it.
        """
        return held.request or self._requests.make(held.delivery)

    def abandon(self) -> None:
        """Forget the messages whose time has not come; the broker delivers them again."""
        self._abandoned = True
