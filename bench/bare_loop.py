"""The same steps with no Celery: `python -m bench.bare_loop`.

One thread, one connection to each server: fetch a thousand with the transport's
own script, settle, publish, acknowledge. What a worker could do if Celery cost
nothing and nothing overlapped.
"""

from __future__ import annotations

import redis

from service.connections import make_service
from service.garbage import collect_seldom
from service.settings import load_settings
from settle_client.names import QUEUE
from worker.transport.redis.fetch import Fetch, Source
from worker.transport.redis.items import entry_tail
from worker.transport.redis.keyspace import UNACKED
from worker.transport.redis.keyspace import UNACKED_INDEX as INDEX
from worker.transport.redis.scripts import FETCH
from worker.understanding.plain import read_plain

BATCH = 1_000


def main() -> None:
    """Settle whatever comes, until killed."""
    collect_seldom()
    settings = load_settings()
    service = make_service(settings)
    client = redis.Redis.from_url(settings.broker_url)
    fetch_script = client.register_script(FETCH.text)
    print(" ready.", flush=True)  # noqa: T201 - what a Celery worker says too
    number = 0
    while True:
        number += 1
        tail = entry_tail(QUEUE)
        retry, ready = (Source(name, QUEUE, tail) for name in (f"{QUEUE}.retry", QUEUE))
        fetch = Fetch([retry], [ready], f"{number}-")
        keys = [UNACKED, INDEX, *fetch.lists]
        came = fetch.read(fetch_script(keys=keys, args=fetch.args(BATCH, busy=False)))
        if not came:
            client.blmove(QUEUE, QUEUE, 1, "RIGHT", "RIGHT")
            continue
        plain = [read_plain(fetched, max_updates=BATCH) for fetched in came]
        messages = [one.message for one in plain if one is not None]
        service.publish(service.apply(messages).outcomes, [])
        tags = [fetched.tag for fetched in came]
        with client.pipeline(transaction=False) as pipe:
            pipe.hdel(UNACKED, *tags)
            pipe.zrem(INDEX, *tags)
            pipe.execute()


if __name__ == "__main__":
    main()
