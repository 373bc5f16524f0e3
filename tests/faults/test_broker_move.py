"""From one broker to another under load: docs/upgrades.md."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from settle_client.names import QUEUE
from tests.broker_queue import has_left
from tests.faults.load import Load
from tests.service import Service, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rabbitmq import RabbitMQ

SECONDS = 5


@pytest.mark.parametrize("to_rabbitmq", [True, False], ids=["to RabbitMQ", "to Redis"])
def test_a_queue_moves_to_another_broker_under_load(
    database_url: str, redis_url: str, tmp_path: Path, rabbitmq: RabbitMQ, to_rabbitmq: bool
) -> None:
    """Workers of both until the old queue is empty, also of what is delayed or a dead one held."""
    with ExitStack() as stack:
        brokers = {"old": None, "new": rabbitmq} if to_rabbitmq else {"old": rabbitmq, "new": None}
        old, new = [
            stack.enter_context(
                closing(Service(database_url, redis_url, tmp_path / name, rabbitmq=broker))
            )
            for name, broker in brokers.items()
        ]
        for folder in (old.folder, new.folder):
            folder.mkdir()
        leaving = [old.start_worker(), old.start_worker()]
        load = Load(old, events=3_000, per_second=100)
        load.start()
        for number in range(20):
            later = {"id": load.unsent[number], "status": "completed"}
            old.send(kwargs=later, task_id=f"later-{number}", countdown=SECONDS)
            load.of_others.add(f"later-{number}")

        for _ in leaving:
            new.start_worker()
        stack.callback(rabbitmq.control, "purge_queue", QUEUE)
        load.service = new
        leaving.pop().kill()
        eventually(lambda: has_left(old))
        for worker in leaving:
            assert worker.stop() == 0
            assert "Traceback" not in worker.log.read_text()
        new.check_is_settling()
        assert has_left(old)
        if to_rabbitmq:
            keys = QUEUE, f"{QUEUE}.unacked", f"{QUEUE}.delayed", f"{QUEUE}.retry"
            assert not old.redis.exists(*keys)

        load.stop()
        new.wait_until_empty()
        account = load.account()
        assert account.messages > 100
        assert (account.lost, account.wrong) == (0, 0), account.examples
