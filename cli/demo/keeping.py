"""What `--keep` adds to the demo: Flower, from before the first message, and what to type.

In another terminal nothing of this one can be relied on, neither a virtual environment
nor a directory nor a variable: what is printed works in any.
"""

from __future__ import annotations

import shlex
import shutil
import threading
import time
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from cli.embedded import ServerUnavailable, free_port
from cli.shell import find_commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from cli.demo.stack import Stack

FLOWER_SECONDS = 30.0
ANSWER_SECONDS = 5.0
POLL_SECONDS = 0.1


class Flower(NamedTuple):
    """A Flower that watches the demo's worker."""

    port: int

    @property
    def address(self) -> str:
        """Return where its pages are."""
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        """Wait until it knows the worker, and so sees what becomes of messages.

        Raises:
            ServerUnavailable: It does not come to that.
        """
        deadline = time.monotonic() + FLOWER_SECONDS
        while time.monotonic() < deadline:
            if self._knows_a_worker():
                return
            time.sleep(POLL_SECONDS)
        raise ServerUnavailable(f"Flower has not found the worker in {FLOWER_SECONDS:g} s")

    def _knows_a_worker(self) -> bool:
        # Not by urllib, which would ask a proxy that the environment names.
        connection = HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        with closing(connection), suppress(OSError, HTTPException):
            connection.request("GET", "/metrics")
            return b"flower_worker_online{" in connection.getresponse().read()
        return False


def start_flower(running: Stack) -> Flower:
    """Start Flower beside the other processes of a demo."""
    flower = Flower(free_port())
    command = ("celery", "-A", "worker", "flower", "--address=127.0.0.1", f"--port={flower.port}")
    running.start(*command, on_line=lambda _: None)
    return flower


def keep(running: Stack, console: Console, flower: Flower, pending: str) -> None:
    """Say what can be done with what runs, and leave it until the user has seen enough.

    Args:
        running: The demo's servers and processes.
        console: Where to say it.
        flower: Which one watches.
        pending: The id of an event that is pending.
    """
    lines = "".join(f"  {line}\n" for line in _to_type(running, pending))
    console.print(
        f"\nEverything is left running. Flower: {flower.address}\n\n"
        f"In another terminal, wherever that is:\n\n{lines}\n"
        "The first settles an event that was left pending; the second comes too late for it.\n"
        "Ctrl-C stops everything.",
        highlight=False,
        soft_wrap=True,
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("Stopping.")


def _to_type(running: Stack, pending: str) -> Iterator[str]:
    yield find_commands()
    urls = running.urls()
    if others := [name for name in running.removed if name not in urls]:
        yield f"unset {' '.join(others)}"
    if urls:
        yield f"export {' '.join(f'{name}={url}' for name, url in urls.items())}"
    yield f"settle publish --wait {pending} completed"
    yield f"settle publish --wait {pending} failed"
    yield "settle top"
    yield "settle outcomes --from-start"
    if find_spec("starlette"):
        yield f"SETTLE_GATEWAY_PORT={free_port()} settle gateway"
    yield "celery -A worker inspect stats"
    if psql := shutil.which("psql") or running.psql:
        yield f'{shlex.quote(psql)} "$DATABASE_URL" -c "TABLE events LIMIT 5"'
