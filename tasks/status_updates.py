"""The Celery task, as a name that producers send to.

The worker does not run this body: its strategy takes the messages in batches
(`worker.strategy`). The body settles one message by itself, for callers that
apply the task in their own process.
"""

from __future__ import annotations

from typing import Any

from celery import shared_task
from celery.utils.imports import symbol_by_name

from settle_client.names import TASK
from tasks.messages import understand


@shared_task(name=TASK, bind=True, acks_late=True)
def update_status(self: Any, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    """Settle the updates of one message and return their outcomes.

    Raises:
        NotUnderstoodError: If there are no updates to be found in the arguments.
        DatabaseError: Nothing was applied.
        OutcomesNotPublishedError: Applied, but not every outcome was published.
    """
    # Named by the configuration, so that nothing here depends on the worker.
    service = symbol_by_name(self.service)()
    message = understand(
        self.request.id, list(args), kwargs, max_updates=service.message_max_updates
    )
    return [outcome.to_dict() for outcome in service.settle(message)]
