"""What limits cost a gateway: `python -m bench.limiting`.

Three gateways that differ in their file of keys alone answer the same requests, in turns: without
limits, with one of the key's requests, and with one of its account's updates as well, all of them
too high to be reached. What a request takes of the processors is the operating system's
accounting, which a busy machine changes little. docs/adr/0023-rate-limits-and-fairness.md rests on
this.
"""

from __future__ import annotations

import os
import statistics

import click
import psutil

from bench.accounting import listens
from bench.command import machine
from bench.errors import BenchError
from bench.fairness import gateway
from bench.http_load import LoadSpec, load
from bench.rig import Rig, rig
from gateway.terms import BATCH

NONE = ("", "")
# What the file of keys says of the key, and what it says of the account.
WAYS = {
    "no limit": NONE,
    "of the key's requests": ("requests_per_second = 1000000000", ""),
    "of requests, and of the account's updates": (
        "requests_per_second = 1000000000",
        '[[account]]\nid = "flood"\nupdates_per_second = 1000000000',
    ),
}
SIZES = {1: 20_000, 100: 60_000}
CONNECTIONS = 8
SECONDS = 1.5


def measure(at: Rig, limits: tuple[str, str], size: int) -> dict[str, float]:
    """Return what a request takes, in microseconds of the gateway and of Redis, and its p50."""
    at.reset(SIZES[size], account="flood")
    with gateway(at, *limits) as (port, _, token):
        pids = (*listens(f"http://127.0.0.1:{port}"), *listens(at.broker_url))
        before = [used(pid) for pid in pids]
        measured = load(LoadSpec(port, BATCH, CONNECTIONS, size, SIZES[size], SECONDS, token=token))
        after = [used(pid) for pid in pids]
    # Also the few that warm the server up.
    requests = measured.requests + (measured.settled - measured.requests * size) / min(size, 5)
    ours, redis = (
        (late - early) / requests * 1e6 for early, late in zip(before, after, strict=True)
    )
    return {"gateway": ours, "Redis": redis, "p50": measured.p50 * 1000}


def used(pid: int) -> float:
    """Return the seconds of the processors that a process has had."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def row(size: int, name: str, rounds: list[dict[str, float]], base: list[dict[str, float]]) -> str:
    """Write what a way was like, and how much more it took than without, in the same rounds."""
    more = [one["gateway"] - other["gateway"] for one, other in zip(rounds, base, strict=True)]
    ours, redis, p50 = (
        statistics.median(each[part] for each in rounds) for part in ("gateway", "Redis", "p50")
    )
    spread = f"{statistics.median(more):,.0f} ({min(more):,.0f} to {max(more):,.0f})"
    return f"| {size} | {name} | {ours:,.0f} | {spread} | {redis:,.0f} | {p50:,.1f} ms |"


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
def main(*, rounds: int) -> None:
    """Print what requests take with limits and without."""
    results: dict[tuple[int, str], list[dict[str, float]]] = {}
    loads: list[float] = []
    try:
        with rig() as at:
            about = machine(at)
            for _ in range(rounds):
                for size in SIZES:
                    for name, limits in WAYS.items():
                        results.setdefault((size, name), []).append(measure(at, limits, size))
                        loads.append(os.getloadavg()[0])
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    click.echo("| updates | limit | gateway, µs a request | more | Redis, µs | p50 |")
    click.echo(f"|--:|---|{'--:|' * 4}")
    for (size, name), measured in results.items():
        click.echo(row(size, name, measured, results[size, next(iter(WAYS))]))
    click.echo(f"\n{rounds} rounds, medians of them; in brackets from lowest to highest.")
    click.echo(f"Load of the machine: {min(loads):.1f} to {max(loads):.1f}.")
    click.echo("On: " + ", ".join(f"{name} {value}" for name, value in about.items()) + ".")


if __name__ == "__main__":
    main()
