"""What Celery has to do with messages that are put off.

A message that the worker holds until its time is forgotten by Celery when the connection
is lost. And where a queue is a quorum queue Celery declares 28 others at every start, and
warns that they are of no use for a queue that a direct exchange leads to, as ours is:
`worker.transport.rabbitmq.delay_queues` has ones that are.
"""

from __future__ import annotations

from typing import Any

from celery.worker.consumer import Consumer

NATIVE_DELIVERY = "celery.worker.consumer.delayed_delivery:DelayedDelivery"


class Blueprint(Consumer.Blueprint):
    """The steps of Celery's consumer without that one."""

    default_steps = [step for step in Consumer.Blueprint.default_steps if step != NATIVE_DELIVERY]  # noqa: RUF012 - as Celery has it


def remember_timer(request: Any, entry: Any) -> None:
    """Let Celery cancel a timer when the connection is lost.

    Args:
        request: Celery's view of the message that is put off.
        entry: Of Celery's timer.
    """
    request._eta_timer_entry = entry  # noqa: SLF001 - Celery's consumer looks for it there
