"""Which framework on which server: `uv run --group bench python -m bench.http_servers`.

The same trivial handler (`bench.peers.trivial_endpoints`) in Starlette and Litestar, on
uvicorn and granian, one process each, asked in turn by our load client. Afterwards
clients that keep each server waiting, and how long it lets them. docs/adr/0012-http-server.md
rests on this.
"""

from __future__ import annotations

import os
import select
import socket
import statistics
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version
from itertools import product
from typing import TYPE_CHECKING

import click

from bench.errors import BenchError
from bench.http import uvicorn
from bench.http_load import LoadSpec, Measured, load, render
from bench.processes import listening
from cli.embedded import free_port
from gateway.terms import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAMEWORKS = ("starlette", "litestar")
SERVERS = ("uvicorn", "granian")
# How many updates a request carries, and how many requests are made at most.
SIZES = {1: 40_000, 1_000: 2_000}
CONNECTIONS = 16
PACKAGES = ("starlette", "litestar", "uvicorn", "granian", "uvloop", "httptools")

REQUEST = render(BATCH, range(1))
KEEP_WAITING = {
    "says nothing": b"",
    "sends half a head": REQUEST[: REQUEST.index(b"Content-Length")],
    "sends half a body": REQUEST[:-10],
}


def command_of(framework: str, server: str, port: int) -> list[str]:
    """Return the command line of a process that serves the handler."""
    application = f"bench.peers.trivial_endpoints:make_{framework}"
    if server == "uvicorn":
        return uvicorn(application, port, "--factory")
    granian = [sys.executable, "-m", "granian", application, "--factory", "--interface=asgi"]
    return [*granian, f"--port={port}", "--loop=uvloop", "--no-ws", "--http=1", "--no-log"]


def measure(
    ports: dict[str, int], rounds: int, seconds: float
) -> dict[int, dict[str, list[Measured]]]:
    """Ask everybody in turn, at each size, as often as there are rounds."""
    results = {size: {name: list[Measured]() for name in ports} for size in SIZES}
    for _, (size, requests), name in product(range(rounds), SIZES.items(), ports):
        spec = LoadSpec(ports[name], BATCH, CONNECTIONS, size, size * requests, seconds)
        results[size][name].append(load(spec))
    return results


def tables(results: dict[int, dict[str, list[Measured]]]) -> Iterable[str]:
    """Write a line for each size and each pair of framework and server, as Markdown."""
    yield "| updates in a request | what | requests a second, median | lowest to highest | p99 |"
    yield "|--:|---|--:|--:|--:|"
    for size, contenders in results.items():
        for name, measured in contenders.items():
            rates = [each.per_second / size for each in measured]
            p99 = statistics.median(each.p99 for each in measured) * 1000
            yield (
                f"| {size:,} | {name} | {statistics.median(rates):,.0f} "
                f"| {min(rates):,.0f} to {max(rates):,.0f} | {p99:.1f} ms |"
            )


def patience(ports: dict[str, int], seconds: float) -> Iterable[str]:
    """Keep everybody waiting, and write how long each let us, as Markdown."""
    yield f"| a client that | {' | '.join(ports)} |"
    yield f"|---|{'---|' * len(ports)}"
    started = time.monotonic()
    waiting: dict[socket.socket, tuple[str, str]] = {}
    for (kind, sent), (name, port) in product(KEEP_WAITING.items(), ports.items()):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(sent)
        waiting[client] = (kind, name)
    patience_of = dict.fromkeys(waiting.values(), f"is kept for {seconds:g} s and more")
    while waiting and (left := started + seconds - time.monotonic()) > 0:
        for client in select.select([*waiting], [], [], left)[0]:
            lasted = time.monotonic() - started
            patience_of[waiting.pop(client)] = f"is let go after {lasted:.0f} s"
            client.close()
    for client in waiting:
        client.close()
    for kind in KEEP_WAITING:
        yield f"| {kind} | {' | '.join(patience_of[kind, name] for name in ports)} |"


@click.command()
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--seconds", default=2.0, show_default=True, help="For each measurement.")
@click.option("--wait-seconds", default=45.0, show_default=True, help="For each slow client.")
def main(*, rounds: int, seconds: float, wait_seconds: float) -> None:
    """Print both tables."""
    pairs = {f"{f} on {s}": (f, s, free_port()) for f, s in product(FRAMEWORKS, SERVERS)}
    ports = {name: port for name, (_, _, port) in pairs.items()}
    try:
        with ExitStack() as stack:
            for pair in pairs.values():
                stack.enter_context(listening(command_of(*pair), {**os.environ}, pair[2]))
            for line in (
                *tables(measure(ports, rounds, seconds)),
                "",
                *patience(ports, wait_seconds),
            ):
                click.echo(line)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    click.echo(f"\nOn: {os.cpu_count()} processors, {CONNECTIONS} connections, {versions}.")


if __name__ == "__main__":
    main()
