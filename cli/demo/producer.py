"""The demo's upstream service: a process of its own with nothing but Celery.

Waits for the number of a wave on standard input, sends that wave, and prints a
line for each message: its id, how many updates, and when it was sent. Run as
`python -m cli.demo.producer RUN COUNT SEED`.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from celery import Celery

from cli.demo.plan import make_plan
from service.addresses import is_cluster
from settle_client.names import QUEUE, TASK

if TYPE_CHECKING:
    from cli.demo.plan import PlannedMessage


def main(run: str, count: int, seed: int) -> None:
    """Send waves as they are asked for."""
    url = os.environ["CELERY_BROKER_URL"]
    if is_cluster(url):
        from worker.transport.redis import onlooking  # noqa: PLC0415 - Celery knows no cluster

        onlooking.install()
    app = Celery(broker=url)
    plan = make_plan(run=run, count=count, seed=seed)
    with app.producer_or_acquire() as producer:
        for wave in sys.stdin:
            for message in plan.waves[int(wave)]:
                sent_at = time.time()
                send(app, producer, message)
                sys.stdout.write(f"{message.id} {len(message.updates)} {sent_at:.6f}\n")


def send(app: Celery, producer: Any, message: PlannedMessage) -> None:
    """Send a message as any Celery client would: kwargs for one update, args for several."""
    single = len(message.updates) == 1
    app.send_task(
        TASK,
        args=None if single else [message.updates],
        kwargs=message.updates[0] if single else None,
        task_id=message.id,
        queue=QUEUE,
        producer=producer,
        ignore_result=True,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
