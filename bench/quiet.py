"""A quiet account: single updates at random moments, and how long each takes.

What is late does not hold up the next: a sample counts from when it was due, over HTTP on
whichever connection is free. Latencies in the queue are told by the server's clock, from the
stream of outcomes, so that nothing is read while something is measured.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import TYPE_CHECKING, NamedTuple

import uvloop

from bench.errors import BenchError
from bench.event_ids import event_id
from bench.filling import sending
from bench.http_client import Client
from bench.http_load import render
from gateway.terms import BATCH
from settle_client.names import OUTCOMES

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from bench.rig import Rig

PER_SECOND = 50.0
PAGE = 10_000


class Sample(NamedTuple):
    """An update.

    Attributes:
        due: When it was to be sent, by this machine's monotonic clock.
        seconds: How long from then to its outcome.
    """

    due: float
    seconds: float


def moments(numbers: range, stop: threading.Event) -> Iterator[tuple[int, float]]:
    """Yield events and when each is due, until it is enough.

    Raises:
        BenchError: There are too few events.
    """
    jitter = random.Random(1)
    due = time.perf_counter()
    for number in numbers:
        due += jitter.expovariate(PER_SECOND)
        if stop.is_set():
            return
        yield number, due
    raise BenchError("the quiet account has too few events for this long")


def over_http(port: int, token: str, numbers: range, stop: threading.Event) -> list[Sample]:
    """Send over HTTP until told to stop, and return how long each took."""
    return uvloop.run(_over_http(port, token, numbers, stop))


async def _over_http(port: int, token: str, numbers: range, stop: threading.Event) -> list[Sample]:
    loop = asyncio.get_running_loop()
    free: list[Client] = []
    samples: list[Sample] = []

    async def send(number: int, due: float) -> None:
        if free:
            client = free.pop()
        else:
            client = (await loop.create_connection(Client, "127.0.0.1", port))[1]
        request = render(BATCH, range(number, number + 1), token)
        await client.send_all(iter([request]), 1, float("inf"))
        samples.append(Sample(due, time.perf_counter() - due))
        free.append(client)

    async with asyncio.TaskGroup() as tasks:
        for number, due in moments(numbers, stop):
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            tasks.create_task(send(number, due))
    for client in free:
        client.close()
    return samples


def over_queue(rig: Rig, numbers: range, stop: threading.Event) -> list[tuple[int, float]]:
    """Send through the queue until told to stop, and return when each was sent."""
    sent: list[tuple[int, float]] = []
    with sending(rig.broker_url) as send:
        for number, due in moments(numbers, stop):
            time.sleep(max(due - time.perf_counter(), 0))
            sent.append((number, due))
            send([{"id": event_id(number), "status": "completed"}])
    return sent


def latencies(rig: Rig, sent: list[tuple[int, float]]) -> list[Sample]:
    """Look up how long updates took that were sent through the queue."""
    clocks = time.time() - time.perf_counter()
    ids = {event_id(number): due for number, due in sent}
    return [
        Sample(ids[id_], moment - clocks - ids[id_])
        for id_, moment in _published(rig)
        if id_ in ids
    ]


def _published(rig: Rig) -> Iterator[tuple[str, float]]:
    after = "-"
    while entries := rig.redis.xrange(OUTCOMES, after, count=PAGE):
        for id_, fields in entries:
            yield json.loads(fields["outcome"])["id"], int(id_.partition("-")[0]) / 1000
        after = f"({entries[-1][0]}"
