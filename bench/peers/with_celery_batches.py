"""The same with celery-batches: `celery -A bench.peers.with_celery_batches worker`.

It needs an environment of its own, with an older Celery. Set up as its
documentation shows, and acknowledging late, with a visibility timeout far below
the default hour.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery_batches import Batches  # type: ignore[import-not-found,unused-ignore]

from bench.peers.same_job import PeerSettler, updates_of

app = Celery("with_celery_batches", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(
    task_default_queue="event-status-updates",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"visibility_timeout": 10},
    worker_concurrency=2,
    # Its batches cannot be larger than what is prefetched.
    worker_prefetch_multiplier=1_000,
)

_settlers: dict[int, PeerSettler] = {}


@app.task(name="events.update_status", base=Batches, flush_every=1_000, flush_interval=0.05)  # type: ignore[untyped-decorator,unused-ignore]
def update_status(requests: list[Any]) -> None:
    """Settle a batch of messages."""
    settler = _settlers.setdefault(os.getpid(), PeerSettler())
    settler.settle(
        [update for one in requests for update in updates_of(one.id, one.args, one.kwargs)]
    )
