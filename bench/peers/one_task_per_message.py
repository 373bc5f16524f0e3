"""A Celery task of the usual kind: `celery -A bench.peers.one_task_per_message worker`.

Set up to lose nothing on Celery's own terms: acknowledged late, given back if
its process dies, tried again without limit when a server is away, and with a
visibility timeout far below the default hour.
"""

from __future__ import annotations

import os
from typing import Any

import psycopg
import redis
from celery import Celery

from bench.peers.same_job import PeerSettler, updates_of

app = Celery("one_task_per_message", broker=os.environ["CELERY_BROKER_URL"])
app.conf.update(
    task_default_queue="event-status-updates",
    # On RabbitMQ.
    task_default_queue_type="quorum",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"visibility_timeout": 10},
    worker_concurrency=2,
)

_settlers: dict[int, PeerSettler] = {}


@app.task(  # type: ignore[untyped-decorator]
    name="events.update_status",
    bind=True,
    autoretry_for=(psycopg.OperationalError, redis.RedisError),
    max_retries=None,
    retry_backoff_max=5,
)
def update_status(self: Any, *args: Any, **kwargs: Any) -> None:
    """Settle one message."""
    settler = _settlers.setdefault(os.getpid(), PeerSettler())
    settler.settle(updates_of(self.request.id, args, kwargs))
