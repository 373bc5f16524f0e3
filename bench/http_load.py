"""Requests as fast as a server answers them: `python -m bench.http_load`, a spec on stdin.

Each connection has one request under way and sends the next when it is answered. All
requests are made before the first is sent; the first ones only warm the server up. It
runs in a process of its own and prints, as JSON, what `Measured` has.
"""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import uvloop

from bench.errors import BenchError
from bench.event_ids import event_id
from bench.http_client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 120.0
WARM_UP_REQUESTS = 10
WARM_UP_UPDATES = 5


class LoadSpec(msgspec.Struct, frozen=True):
    """What to do.

    Attributes:
        port: Of the server, on loopback.
        path: Of the operation.
        connections: How many requests are under way at once.
        updates_each: How many updates a request carries.
        events: How many pending events there are; each is named once.
        seconds: After which no further request is sent.
        token: An API key, if one is to be shown.
        first: The number of the first of these events.
    """

    port: int
    path: str
    connections: int
    updates_each: int
    events: int
    seconds: float
    token: str = ""
    first: int = 0


class Measured(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        settled: Events settled, those of the warm-up included.
        requests: Requests measured.
        per_second: Events settled a second, from the first request to the last answer.
        p50: Seconds that half of the requests took at most.
        p99: Seconds that 99 of a hundred took at most; of fewer, the longest.
        began: When the first of these was sent, by this machine's monotonic clock.
        ended: When the last was answered.
    """

    settled: int
    requests: int
    per_second: float
    p50: float
    p99: float
    began: float
    ended: float


def load(spec: LoadSpec) -> Measured:
    """Run a load in a process of its own.

    Raises:
        BenchError: An answer was not what it has to be.
    """
    command = [sys.executable, "-m", "bench.http_load"]
    done = subprocess.run(
        command, input=msgspec.json.encode(spec), capture_output=True, check=False
    )
    if done.returncode:
        raise BenchError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    return msgspec.json.decode(done.stdout, type=Measured)


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that so many of them do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def render(path: str, ids: range, token: str = "") -> bytes:
    """Write a request that settles some events, with an API key if there is one."""
    body = msgspec.json.encode([{"id": event_id(n), "status": "completed"} for n in ids])
    shown = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"{shown}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def measure(spec: LoadSpec) -> Measured:
    """Run a load in this process."""
    small = min(spec.updates_each, WARM_UP_UPDATES)
    warm_up = small * WARM_UP_REQUESTS * spec.connections
    numbers = range(spec.first, spec.first + spec.events)
    first = make_requests(spec, small, numbers[:warm_up])
    rest = make_requests(spec, spec.updates_each, numbers[warm_up:])
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(Client, "127.0.0.1", spec.port))[1]
        for _ in range(spec.connections)
    ]
    await send(clients, iter(first), small, PATIENCE_SECONDS)
    for client in clients:
        client.latencies.clear()
    began = time.perf_counter()
    took = await send(clients, iter(rest), spec.updates_each, spec.seconds)
    for client in clients:
        client.close()
    latencies = [seconds for client in clients for seconds in client.latencies]
    settled = len(latencies) * spec.updates_each
    return Measured(
        settled=settled + warm_up,
        requests=len(latencies),
        per_second=settled / took,
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
        began=began,
        ended=began + took,
    )


async def send(
    clients: list[Client], requests: Iterator[bytes], updates_each: int, seconds: float
) -> float:
    """Send requests, by whoever is free, and return how long it took to the last answer."""
    started = time.perf_counter()
    until = started + seconds
    async with asyncio.timeout(PATIENCE_SECONDS + seconds):
        await asyncio.gather(*(c.send_all(requests, updates_each, until) for c in clients))
    return time.perf_counter() - started


def make_requests(spec: LoadSpec, updates_each: int, numbers: range) -> list[bytes]:
    """Make requests for events with these numbers, as many as there are whole ones."""
    last = numbers.stop - updates_each + 1
    return [
        render(spec.path, range(n, n + updates_each), spec.token)
        for n in range(numbers.start, last, updates_each)
    ]


def main() -> None:
    """Run the load, and print what came of it."""
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=LoadSpec)
    try:
        measured = uvloop.run(measure(spec))
    except (BenchError, OSError, TimeoutError) as error:
        sys.exit(f"{spec.path}: {error or 'the server does not answer'}")
    sys.stdout.write(msgspec.json.encode(measured).decode())


if __name__ == "__main__":
    main()
