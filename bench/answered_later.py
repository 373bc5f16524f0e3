"""What a flood to be answered later does to another account: `python -m bench.answered_later`.

A quiet account sends single updates with `Prefer: respond-async`, one after the other: alone, and
while another has 150 connections on which it sends a thousand at a time, at once again
whatever it is answered. Counts until the answer, not until the outcome: the queue behind is not
fair. docs/adr/0023-rate-limits-and-fairness.md rests on this.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from typing import IO, NamedTuple, cast

import click

from bench.command import machine
from bench.event_ids import event_id
from bench.fairness import QUIET, gateway
from bench.http_load import percentile
from bench.rig import rig
from gateway.terms import BATCH
from settle_client.outcome import encode_json

CONNECTIONS = 150
UPDATES_EACH = 1_000
PAUSE_SECONDS = 0.05
WARM_UP_SECONDS = 1.0
ACCEPTED = 202
BEGINS = "begins"
HEAD_END = b"\r\n\r\n"


class Sample(NamedTuple):
    """A request: with which status it was answered, and how long that took."""

    status: int
    seconds: float


def render(token: str, numbers: range) -> bytes:
    """Write a request to be answered later."""
    body = encode_json([{"id": event_id(number), "status": "completed"} for number in numbers])
    lines = (
        f"PATCH {BATCH} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "Prefer: respond-async",
        f"Authorization: Bearer {token}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + HEAD_END + body


async def send(port: int, request: bytes, seconds: float, pause_seconds: float) -> list[Sample]:
    """Send a request over a connection again and again, each when the one before is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    samples: list[Sample] = []
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        writer.write(request)
        status = await read_status(reader)
        samples.append(Sample(status, time.perf_counter() - began))
        await asyncio.sleep(pause_seconds)
    writer.close()
    return samples


async def read_status(reader: asyncio.StreamReader) -> int:
    """Read an answer, and return its status."""
    head = await reader.readuntil(HEAD_END)
    fields = dict(line.split(b": ", 1) for line in head.strip().split(b"\r\n")[1:])
    lengths = {name.lower(): value for name, value in fields.items()}
    await reader.readexactly(int(lengths[b"content-length"]))
    return int(head.split(b" ", 2)[1])


async def send_flood(port: int, token: str, seconds: float) -> None:
    """Send on all connections, and print how often each status was the answer."""
    request = render(token, range(QUIET, QUIET + UPDATES_EACH))
    click.echo(BEGINS)
    sent = await asyncio.gather(*(send(port, request, seconds, 0) for _ in range(CONNECTIONS)))
    counts = Counter(sample.status for samples in sent for sample in samples)
    rates = (f"{status}: {count / seconds:,.0f} a second" for status, count in counts.items())
    click.echo(f"the flood: {', '.join(sorted(rates))}")


def report(name: str, samples: list[Sample]) -> None:
    """Print how the quiet account fared."""
    seconds = [sample.seconds for sample in samples]
    refused = sum(sample.status != ACCEPTED for sample in samples)
    shares = (
        f"p{share * 100:.0f} {percentile(seconds, share) * 1_000:,.1f} ms" for share in (0.5, 0.99)
    )
    click.echo(f"{name}: {len(samples):,} requests, {refused:,} refused, {', '.join(shares)}")


def compare(port: int, quiet_token: str, token: str, seconds: float) -> None:
    """Compare once."""
    request = render(quiet_token, range(1))
    asyncio.run(send(port, request, WARM_UP_SECONDS, PAUSE_SECONDS))
    report("alone", asyncio.run(send(port, request, seconds, PAUSE_SECONDS)))
    longer = seconds + 2 * WARM_UP_SECONDS
    command = [
        sys.executable,
        "-m",
        "bench.answered_later",
        "--flood",
        str(port),
        "--seconds",
        str(longer),
    ]
    environment = {**os.environ, "SETTLE_BENCH_TOKEN": token}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as flooding:
        output = cast("IO[str]", flooding.stdout)
        output.readline()
        time.sleep(WARM_UP_SECONDS)
        report("beside", asyncio.run(send(port, request, seconds, PAUSE_SECONDS)))
        click.echo(output.read().strip())


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--flood", type=int, hidden=True, help="At which port.")
def main(*, rounds: int, seconds: float, flood: int | None) -> None:
    """Print how a quiet account fares alone and beside a flood to be answered later."""
    if flood is not None:
        asyncio.run(send_flood(flood, os.environ["SETTLE_BENCH_TOKEN"], seconds))
        return
    with rig() as at:
        about = machine(at)
        for _ in range(rounds):
            at.reset(0)
            with gateway(at) as (port, quiet_token, token):
                compare(port, quiet_token, token, seconds)
        click.echo(f"Load of the machine: {os.getloadavg()[0]:.1f}.")
        click.echo("On: " + ", ".join(f"{name} {value}" for name, value in about.items()) + ".")


if __name__ == "__main__":
    main()
