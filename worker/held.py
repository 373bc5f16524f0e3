"""What is held: a message on its way, together with what the broker delivered.

It is what the stages hand on, from being understood to being acknowledged. What
happens to it is theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.messages import InvalidUpdate

if TYPE_CHECKING:
    from tasks.messages import Message
    from worker.transport.delivery import Delivery, Received, Shown


class Held(NamedTuple):
    """A message on its way.

    Attributes:
        delivery: What came of the broker's.
        message: What it says.
        update_count: How many updates it carries.
        byte_count: How much memory it takes, about, besides what its updates do.
        invalid_share: Which part of them is not valid.
        wants_result: Whether the producer asked for a Celery result.
        details: How it came, for a dead letter.
        request: Celery's own view of it, made only for messages that use the options
            which that implements.
        shown: What monitors show of it, if it is plain and they want to.
        drop_reason: Why it is to be dropped, unless it was applied before.
        refusal: What it is answered as in place of being dropped.
    """

    delivery: Delivery
    message: Message
    update_count: int
    byte_count: int
    invalid_share: float
    wants_result: bool
    details: dict[str, Any]
    request: Any = None
    shown: Shown | None = None
    drop_reason: str | None = None
    refusal: Message | None = None

    @property
    def is_to_be_dropped(self) -> bool:
        """Return whether it is to be dropped without being looked up.

        What comes for the first time cannot have been applied before.
        """
        if self.drop_reason is None or self.refusal is not None:
            return False
        return not (self.details["redelivered"] or self.details["deliveriesToDeadWorkers"])

    def give_up(self, why: str, refusal: Message) -> Held:
        """Return it as one that is refused, unless it was applied before."""
        raw = sum(len(each.raw) for each in refusal.updates if isinstance(each, InvalidUpdate))
        return self._replace(
            drop_reason=why, refusal=refusal, byte_count=self.byte_count + raw, request=None
        )

    def refused(self, refusal: Message) -> Held:
        """Return it as one that was refused."""
        return self._replace(
            message=refusal, update_count=1, invalid_share=1.0, drop_reason=None, refusal=None
        )


class Load(NamedTuple):
    """How much is held, and where."""

    waiting_messages: int = 0
    waiting_updates: int = 0
    slot_messages: int = 0
    slot_updates: int = 0
    slots_taken: int = 0


def hold(delivery: Received, message: Message, request: Any = None) -> Held:
    """Hold what kombu delivered, or what stands in for it."""
    invalid = [update for update in message.updates if isinstance(update, InvalidUpdate)]
    return Held(
        delivery=delivery,
        message=message,
        update_count=len(message.updates),
        byte_count=delivery.byte_count + sum(len(update.raw) for update in invalid),
        invalid_share=len(invalid) / len(message.updates),
        wants_result=not delivery.headers().get("ignore_result"),
        details=delivery.details(),
        request=request,
    )
