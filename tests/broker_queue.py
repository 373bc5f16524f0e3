"""Whether a broker's queue is empty, as docs/upgrades.md has it: by the commands that it names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from settle_client.names import QUEUE
from tests.rabbitmq import TICKS_SECONDS

if TYPE_CHECKING:
    from tests.rabbitmq import RabbitMQ
    from tests.rabbitmq_cluster import Cluster
    from tests.service import Service

NOTHING_HELD = "0 messages waiting, 0 held by workers"
LIST_QUEUES = "list_queues name messages"


def has_left(service: Service) -> bool:
    """Return whether a broker has nothing any more that a worker of its own is needed for."""
    queue = json.loads(_run(service, "top", "--json"))["queue"]
    if queue["messages"] or queue["delayed"]:
        return False
    if service.rabbitmq is not None:
        return _has_nothing(service.rabbitmq)
    return NOTHING_HELD in _run(service, "doctor")


def _has_nothing(rabbitmq: RabbitMQ | Cluster) -> bool:
    # What it tells is as old as its last tick.
    time.sleep(TICKS_SECONDS)
    queues = [line.split() for line in rabbitmq.control(*LIST_QUEUES.split()).splitlines()]
    counts = {name: count for name, count in queues if name.startswith(QUEUE)}
    return QUEUE in counts and set(counts.values()) == {"0"}


def _run(service: Service, *arguments: str) -> str:
    environment = {**os.environ, **service.environment}
    command = [sys.executable, "-m", "cli", *arguments]
    # What the doctor says of other things is not asked for.
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    ).stdout
