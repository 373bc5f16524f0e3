"""That ordinary messages, those of the storms in tests/faults too, go the fast way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from settle_client.producer import Producer
from tasks.messages import validate
from tests.items import fetched
from worker.understanding.plain import read_plain

if TYPE_CHECKING:
    from tests.service import Service

MESSAGES = 5_000
# Stock Celery needs nine a message.
MOST_COMMANDS_EACH = 0.2


def test_what_any_celery_client_sends_is_plain(service: Service) -> None:
    """As the storms send it, under ids of their own and without wanting a result."""
    update = {"id": "ev_1", "status": "completed"}
    service.send(kwargs=update, task_id="m000001", ignore_result=True)
    service.send(args=[[update, update]], task_id="m000002", ignore_result=True)
    service.send(kwargs=update)
    items = service.redis.lrange("event-status-updates", 0, -1)
    read = [read_plain(fetched(item), max_updates=10) for item in reversed(items)]
    assert all(read)
    assert [plain.message.updates for plain in read if plain] == [
        (validate(update),) * count for count in (1, 2, 1)
    ]


def test_a_worker_needs_few_commands_a_message(service: Service) -> None:
    """Fetched, published and acknowledged by the thousand."""
    ids = [f"ev_{number}" for number in range(MESSAGES)]
    service.load(*ids)
    with Producer(service.users.producer) as producer:
        messages = {producer.send({"id": id_, "status": "completed"}): [id_] for id_ in ids}
    service.redis.config_resetstat()
    service.start_worker()
    service.wait(messages)
    service.wait_until_empty()
    stats = service.redis.info("commandstats")
    # What a script does inside is no round trip; whoever waits for outcomes reads.
    fetching = ("lrange", "ltrim", "hset", "zadd", "time", "hlen", "zcard")
    inside = ("xadd", "publish", *fetching)
    asked = {
        name: stat["calls"]
        for name, stat in stats.items()
        if name.removeprefix("cmdstat_") not in (*inside, "xread", "multi", "exec", "llen")
    }
    assert sum(asked.values()) < MOST_COMMANDS_EACH * MESSAGES, asked
    inspect = service.operator.control.inspect(timeout=10, limit=1)
    (answer,) = inspect.stats().values()
    assert answer["settle"]["messages_fetched"] == {"plain": MESSAGES, "other": 0}
