"""From what the broker delivered to messages that are held.

A message is understood, or refused: then it carries an answer and no update. One
that asks for a later time is left to the broker until then, one that has expired or was
revoked is dropped; if it may have been applied before, a slot looks that up. What is held
leaves in batches, which is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.worker import state

from tasks.messages import unintelligible
from worker.held import Held, hold
from worker.seams.delays import remember_timer
from worker.telling import measuring
from worker.telling.log_lines import log_refused
from worker.understanding.delayed import read_delayed
from worker.understanding.options import any_revoked, is_revoked, uses_options, why_dropped
from worker.understanding.other import receive, refuse, why_given_up
from worker.understanding.plain import read_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tasks.messages import Message
    from worker.seams.loop import Loop
    from worker.telling.task_events import TaskEvents
    from worker.transport.broker import Deliveries
    from worker.transport.delivery import RawDelivery, Received
    from worker.understanding.options import Requests


@dataclass(frozen=True, slots=True)
class Onward:
    """Where messages go from here.

    Attributes:
        hold_new: Holds messages that came.
        hold_due: Holds a message whose time has come while it was here.
        drop: Answers messages that are not to be applied.
        learn: Is told what messages are like that are not held, for the broker does.
    """

    hold_new: Callable[[Sequence[Held]], None]
    hold_due: Callable[[Held], None]
    drop: Callable[[Sequence[Held]], None]
    learn: Callable[[Held], None]


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
        onward: Onward,
        max_updates: int,
    ) -> None:
        """Take messages from a broker.

        Args:
            deliveries: Where it is accounted for what came by way of kombu.
            requests: Make Celery's view of a delivery.
            task_events: What monitors see.
            loop: The consumer's.
            prefetch: Celery's consumer, for its `qos`, made when it consumes.
            onward: Where messages go from here.
            max_updates: How many updates a message may carry.
        """
        self._deliveries, self._requests = deliveries, requests
        self._task_events, self._loop, self._prefetch = task_events, loop, prefetch
        self._onward, self._max_updates = onward, max_updates
        self._abandoned = False

    def take(self, came: Iterable[RawDelivery]) -> int:
        """Take the plain messages that stand first, and return how many they are.

        One that only asks for a later time is plain, too, and left to the broker.
        """
        plain: list[Held] = []
        delayed = 0
        shown, revoked = self._task_events.are_heard, any_revoked()
        for delivery in came:
            held, seconds = self._read_plain(delivery, shown=shown)
            if held is None or not delivery.tag or (revoked and is_revoked(held.message.id)):
                break
            if seconds > 0:
                self._delay(held, seconds, partial(self._put_off_plain, held))
                delayed += 1
            else:
                plain.append(held)
        if plain or delayed:
            measuring.fetched("plain", len(plain) + delayed)
        if plain:
            self._onward.hold_new(plain)
        return len(plain) + delayed

    def _read_plain(self, delivery: RawDelivery, *, shown: bool) -> tuple[Held | None, float]:
        try:
            held = read_plain(delivery, max_updates=self._max_updates, shown=shown)
            if held is None:
                return read_delayed(delivery, max_updates=self._max_updates)
        except Exception:  # noqa: BLE001 - then it is not plain, and goes the other way
            return None, 0.0
        return held, 0.0

    def accept(self, delivery: Received) -> None:
        """Take one message as kombu delivered it, whatever it is; raises nothing."""
        measuring.fetched("other")
        self._deliveries.account(delivery)
        held = hold(delivery, receive(delivery, max_updates=self._max_updates))
        try:
            if uses_options(delivery.headers()) and not delivery.given_up:
                request = self._requests.make(delivery)
                held = held._replace(request=request, drop_reason=why_dropped(request))
                # How often it came back before its time says nothing against it.
                if not held.drop_reason and self._delays(delivery, held):
                    # Its body goes with it.
                    return
            if held.invalid_share < 1 and not held.drop_reason and (why := why_given_up(delivery)):
                held = held.give_up(why, refuse(delivery, why))
        except Exception as error:  # noqa: BLE001 - an option of it makes no sense
            held = hold(delivery, refuse(delivery, error))
        if held.is_to_be_dropped or held.invalid_share == 1:
            delivery.forget_body()
        else:
            kept = self._deliveries.trim(delivery)
            held = held._replace(byte_count=held.byte_count + kept)
        if held.is_to_be_dropped:
            self._onward.drop([held])
            return
        if held.invalid_share:
            log_refused(held.message)
        self._onward.hold_new([held])

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
        delivery.forget_body()
        self._onward.hold_new([held])
        return held.message

    def _delays(self, delivery: Received, held: Held) -> bool:
        request = held.request
        if not request.eta:
            return False
        seconds = (request.eta - datetime.now(UTC)).total_seconds()
        if seconds <= 0:
            return False
        self._delay(held, seconds, partial(self._put_off_whole, delivery, held))
        return True

    def _delay(self, held: Held, seconds: float, otherwise: Callable[[], None]) -> None:
        self._onward.learn(held)
        self._deliveries.delay(held.delivery, seconds, otherwise)

    def _put_off_whole(self, delivery: Received, held: Held) -> None:
        delivery.forget_body()
        self._put_off(held.request, held)

    def _put_off_plain(self, held: Held) -> None:
        try:
            request = self._requests.make(held.delivery)
        except Exception as error:  # noqa: BLE001 - then it cannot be put off, and is answered
            message = unintelligible(held.message.id, str(error), "")
            self._onward.hold_new(
                [held._replace(message=message, update_count=1, invalid_share=1.0)]
            )
        else:
            self._put_off(request, held._replace(request=request))

    def _put_off(self, request: Any, held: Held) -> None:
        """Hold a message here until its time has come, as Celery does."""
        if self._abandoned:
            return
        self._task_events.received([held])
        # A delayed message must not take the place of one that could be applied.
        self._prefetch.qos.increment_eventually()
        seconds = max(0.0, (request.eta - datetime.now(UTC)).total_seconds())
        self._deliveries.park(held.delivery)
        remember_timer(request, self._loop.call_later(seconds, self._on_due, request, held))
        state.task_scheduled(request)

    def _on_due(self, request: Any, held: Held) -> None:
        state.task_ready(request)
        if not self._abandoned:
            self._prefetch.qos.decrement_eventually()
            self._deliveries.unpark(held.delivery)
            self._onward.hold_due(held)

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
