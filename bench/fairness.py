"""What a flood of one account does to another's updates: `python -m bench.fairness`.

A quiet account sends single updates, fifty a second at random moments: alone, and while another
account has 100,000 settled. Through either door, in turns, round after round; each round
compares what was alone with what was beside the flood, minutes apart at most.
docs/adr/0023-rate-limits-and-fairness.md rests on this.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from bench import quiet
from bench.command import machine
from bench.contenders import SETTLE
from bench.errors import BenchError
from bench.event_ids import event_id
from bench.http_load import LoadSpec, load, percentile
from bench.processes import listening
from bench.rig import rig
from cli.embedded import free_port
from db.loading import NewEvent, load_events
from gateway.access.keys import as_toml, draw
from gateway.terms import BATCH
from settle_client.envelope import bulk, single
from settle_client.names import QUEUE
from settle_client.update import StatusUpdate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.quiet import Sample
    from bench.rig import Rig

Result = TypeVar("Result")

FLOOD = 100_000
# Of the quiet account: more than are sent in the longest run.
QUIET = 20_000
ALONE_SECONDS = 6.0
WARM_UP_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
# kombu's name of the list of the lowest priority.
LAST = f"{QUEUE}\x06\x169"
PUSHED_TOGETHER = 500


class Way(NamedTuple):
    """How a flood comes.

    Attributes:
        name: As it is called in the table.
        updates_each: In a message or a request.
        connections: Over HTTP how many requests are under way, else 0.
        queue: The list of Redis that messages go to.
        module: Whose gateway it is.
    """

    name: str
    updates_each: int
    connections: int = 0
    queue: str = QUEUE
    module: str = "cli"


UNFAIR = "bench.peers.unfair_gateway"
WAYS = (
    Way("HTTP, 1,000 in a request, 8 at once", 1_000, connections=8),
    Way("… without shares", 1_000, connections=8, module=UNFAIR),
    Way("HTTP, 1,000 in a request, 100 at once", 1_000, connections=100),
    Way("… without shares, 100 at once", 1_000, connections=100, module=UNFAIR),
    Way("HTTP, 10 in a request, 32 at once", 10, connections=32),
    Way("queue, 1,000 in a message", 1_000),
    Way("queue, one in a message", 1),
    Way("queue, one in a message, priority 9", 1, queue=LAST),
)


class Compared(NamedTuple):
    """What a round was like: samples of the quiet account, and how fast the flood was."""

    alone: list[float]
    beside: list[float]
    per_second: float


def over_http(at: Rig, way: Way) -> Compared:
    """Compare once, over HTTP."""
    with gateway(at, module=way.module) as (port, quiet_token, token):
        spec = LoadSpec(
            *(port, BATCH, way.connections, way.updates_each, FLOOD, PATIENCE_SECONDS),
            *(token, QUIET),
        )
        send = partial(quiet.over_http, port, quiet_token)
        alone = for_a_while(partial(send, range(QUIET // 2)))
        with ThreadPoolExecutor() as threads:
            stop = threading.Event()
            samples = threads.submit(send, range(QUIET // 2, QUIET), stop)
            time.sleep(WARM_UP_SECONDS)
            measured = load(spec)
            stop.set()
        beside = [
            one.seconds for one in samples.result() if measured.began <= one.due <= measured.ended
        ]
        return Compared(settled_in(alone), beside, measured.per_second)


def over_queue(at: Rig, way: Way) -> Compared:
    """Compare once, through the queue."""
    items = list(messages(way))
    with at.workers(SETTLE) as running:
        at.redis.lpush(QUEUE, items.pop())
        # From when it settles on.
        at.wait(way.updates_each, running)
        send = partial(quiet.over_queue, at)
        sent = for_a_while(partial(send, range(QUIET // 2)))
        at.wait(way.updates_each + len(sent), running)
        alone = quiet.latencies(at, sent)
        with ThreadPoolExecutor() as threads:
            stop = threading.Event()
            beside_sent = threads.submit(send, range(QUIET // 2, QUIET), stop)
            time.sleep(WARM_UP_SECONDS)
            began = time.perf_counter()
            for first in range(0, len(items), PUSHED_TOGETHER):
                at.redis.lpush(way.queue, *items[first : first + PUSHED_TOGETHER])
            at.wait(len(sent) + FLOOD, running)
            ended = time.perf_counter()
            stop.set()
        at.wait(len(sent) + len(beside_sent.result()) + FLOOD, running)
        samples = quiet.latencies(at, beside_sent.result())
    beside = [one.seconds for one in samples if began <= one.due <= ended]
    return Compared(settled_in(alone), beside, FLOOD / (ended - began))


def for_a_while(send: Callable[[threading.Event], Result]) -> Result:
    """Let something send for a time, and tell it to stop."""
    stop = threading.Event()
    threading.Timer(ALONE_SECONDS, stop.set).start()
    return send(stop)


def settled_in(samples: list[Sample]) -> list[float]:
    """Return how long each took, without the first."""
    since = samples[0].due + WARM_UP_SECONDS
    return [one.seconds for one in samples if one.due > since]


def messages(way: Way) -> Iterator[bytes]:
    """Make what is laid into the queue, before it is to be there."""
    priority = way.queue.removeprefix(QUEUE)[-1:] or "0"
    for first in range(QUIET, QUIET + FLOOD, way.updates_each):
        numbers = range(first, first + way.updates_each)
        updates = [StatusUpdate(event_id(number), "completed") for number in numbers]
        envelope = bulk(updates) if updates[1:] else single(updates[0])
        yield envelope.item().replace(b'"priority":0', b'"priority":%b' % priority.encode())


@contextmanager
def gateway(
    at: Rig, of_key: str = "", of_account: str = "", *, module: str = "cli"
) -> Iterator[tuple[int, str, str]]:
    """Run a gateway; give its port, the key of the quiet account and that of the other.

    Args:
        at: Where.
        of_key: What the file of keys says of the latter besides.
        of_account: What it says of accounts.
        module: Which gateway.
    """
    port = free_port()
    (quiet_token, quiet_key), (token, key) = (draw(name, [name]) for name in ("quiet", "flood"))
    with TemporaryDirectory() as folder:
        keys = Path(folder) / "keys.toml"
        keys.write_text("\n".join([as_toml(quiet_key), as_toml(key), of_key, of_account]))
        environment = {
            **os.environ,
            "CELERY_BROKER_URL": at.broker_url,
            "DATABASE_URL": at.database_url,
            "SETTLE_GATEWAY_PORT": str(port),
            "SETTLE_GATEWAY_KEYS_FILE": str(keys),
        }
        with listening([sys.executable, "-m", module, "gateway"], environment, port):
            yield port, quiet_token, token


def compare(at: Rig, way: Way) -> Compared:
    """Compare once, on a table that is filled anew.

    Raises:
        BenchError: Too few were measured beside the flood.
    """
    at.reset(0)
    accounts = ["quiet"] * QUIET + ["flood"] * (FLOOD + PUSHED_TOGETHER)
    load_events(at.database_url, (NewEvent(event_id(n), a) for n, a in enumerate(accounts)))
    compared = (over_http if way.connections else over_queue)(at, way)
    if not compared.beside:
        raise BenchError(f"{way.name}: the flood was over too soon")
    return compared


def row(name: str, rounds: list[Compared]) -> str:
    """Write what the rounds of a way were like, as a line of Markdown."""
    figures = []
    for share in (0.5, 0.99):
        alone = [percentile(each.alone, share) for each in rounds]
        beside = [percentile(each.beside, share) for each in rounds]
        times = [one / other for one, other in zip(beside, alone, strict=True)]
        figures += [
            f"{statistics.median(alone) * 1000:,.1f} ms",
            f"{statistics.median(beside) * 1000:,.1f} ms",
            f"{statistics.median(times):,.1f} ({min(times):,.1f} to {max(times):,.1f})",
        ]
    rate = statistics.median(each.per_second for each in rounds)
    samples = sum(len(each.beside) for each in rounds)
    return f"| {name} | {' | '.join(figures)} | {samples:,} | {rate:,.0f} |"


def table(results: dict[str, list[Compared]]) -> Iterator[str]:
    """Write a line for each way of a flood."""
    yield (
        "| flood | p50 alone | beside it | times | p99 alone | beside it | times | samples "
        "| flood settled a second |"
    )
    yield f"|---|{'--:|' * 8}"
    for name, rounds in results.items():
        yield row(name, rounds)


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--only", default="", help="A pattern in the name of a way.")
def main(*, rounds: int, only: str) -> None:
    """Print how a quiet account fares alone and beside a flood."""
    ways = [way for way in WAYS if re.search(only, way.name)]
    results: dict[str, list[Compared]] = {way.name: [] for way in ways}
    loads: list[float] = []
    try:
        with rig() as at:
            about = machine(at)
            for way in ways * rounds:
                results[way.name].append(compare(at, way))
                loads.append(os.getloadavg()[0])
                click.echo(row(way.name, results[way.name][-1:]), err=True)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    for line in table(results):
        click.echo(line)
    click.echo(f"\n{rounds} rounds, medians of them; in brackets from lowest to highest.")
    click.echo(f"Load of the machine: {min(loads):.1f} to {max(loads):.1f}.")
    click.echo("On: " + ", ".join(f"{name} {value}" for name, value in about.items()) + ".")


if __name__ == "__main__":
    main()
