"""The gateway beside the endpoint that a tutorial has one write: bodies of several sizes.

Everybody has one process on the same PostgreSQL, and the same load client. They take
turns at each size, round after round, on a table that is filled anew.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.http_load import LoadSpec, load
from bench.http_report import GATEWAY, NOTHING, ONE_COMMIT, TUTORIAL, UNSHARED
from bench.processes import listening
from cli.embedded import free_port
from gateway.terms import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.rig import Rig

# How many updates a request carries, and how many events there are for it: more than the
# fastest settles in the time.
SIZES = {1: 15_000, 10: 60_000, 100: 100_000, 1_000: 120_000}
CONNECTIONS = (1, 8)
SECONDS = 1.5


@dataclass(frozen=True)
class Endpoint:
    """Who is compared: a server, and what is asked of it.

    Attributes:
        name: As it is called in the report.
        port: Where it listens.
        path: Of the operation.
        settles: Whether it settles anything.
        publishes: Whether it publishes outcomes.
    """

    name: str
    port: int
    path: str = BATCH
    settles: bool = True
    publishes: bool = False


def uvicorn(application: str, port: int, *options: str) -> list[str]:
    """Return the command line of one process, set up as the gateway is."""
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), *options]
    return [*command, "--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=error"]


@contextmanager
def endpoints(rig: Rig) -> Iterator[list[Endpoint]]:
    """Run everybody's server while the `with` block lasts; it is idle while others are asked."""
    ports = [free_port() for _ in range(4)]
    gateway, unshared, tutorial, nothing = ports
    environment = {
        **os.environ,
        "CELERY_BROKER_URL": rig.broker_url,
        "SETTLE_OUTCOME_URL": rig.broker_url,
        "DATABASE_URL": rig.database_url,
    }
    commands = (
        [sys.executable, "-m", "cli", "gateway"],
        [sys.executable, "-m", "bench.peers.unshared_gateway"],
        uvicorn("bench.peers.tutorial_endpoint:app", tutorial),
        uvicorn("bench.peers.trivial_endpoints:nothing", nothing),
    )
    with ExitStack() as stack:
        for command, port in zip(commands, ports, strict=True):
            stack.enter_context(
                listening(command, {**environment, "SETTLE_GATEWAY_PORT": str(port)}, port)
            )
        yield [
            Endpoint(GATEWAY, gateway, publishes=True),
            Endpoint(UNSHARED, unshared, publishes=True),
            Endpoint(TUTORIAL, tutorial),
            Endpoint(ONE_COMMIT, tutorial, f"{BATCH}/one-commit"),
            Endpoint(NOTHING, nothing, settles=False),
        ]


def compare(rig: Rig, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure each size in turn, with one connection and with several.

    Returns:
        `cells`: for each number of connections, for each size, for each contender, what
        `http_load.Measured` has, a list of a figure a round.
    """
    cells: dict[str, Any] = {}
    with endpoints(rig) as contenders:
        for number, connections, size in product(range(1, rounds + 1), CONNECTIONS, SIZES):
            cell = cells.setdefault(str(connections), {}).setdefault(str(size), {})
            for endpoint in contenders:
                measured = ask(rig, endpoint, connections, size)
                figures = cell.setdefault(endpoint.name, {})
                for name, figure in measured.items():
                    figures.setdefault(name, []).append(figure)
                say(
                    f"round {number} of {rounds}  {connections} at once, of {size:5,}  "
                    f"{endpoint.name:30} {measured['per_second']:9,.0f}/s"
                )
    return {
        "rounds": rounds,
        "seconds": SECONDS,
        "cells": cells,
    }


def ask(rig: Rig, endpoint: Endpoint, connections: int, size: int) -> dict[str, float]:
    """Measure one contender, and see that it did what it answered.

    Raises:
        BenchError: It did not.
    """
    events = SIZES[size]
    if endpoint.settles:
        rig.reset(events)
    measured = load(LoadSpec(endpoint.port, endpoint.path, connections, size, events, SECONDS))
    if endpoint.settles and rig.settled() != measured.settled:
        raise BenchError(f"{endpoint.name}: {rig.settled():,} settled, {measured.settled:,} told")
    if endpoint.publishes and rig.published() != measured.settled:
        raise BenchError(
            f"{endpoint.name}: {rig.published():,} outcomes, {measured.settled:,} told"
        )
    return {
        "requests": measured.requests,
        "per_second": measured.per_second,
        "p50_milliseconds": measured.p50 * 1000,
        "p99_milliseconds": measured.p99 * 1000,
    }
