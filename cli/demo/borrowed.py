"""Servers that are not the demo's: what is said before it uses them, and removed after that."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click
import redis

from db import DatabaseError
from db.loading import remove_events
from service.addresses import hide_password
from settle_client.names import DEAD_LETTERS
from settle_client.redis_server import open_client
from tasks.dead_letters import DeadLetters
from worker.transport.broker import broker_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.demo.plan import Plan
    from service.settings import Settings

DRAIN_SECONDS = 30.0
POLL_SECONDS = 0.1
NEEDED = ("CELERY_BROKER_URL", "DATABASE_URL")


def check_named() -> None:
    """See to it that somebody's servers are named.

    Raises:
        click.UsageError: They are not.
    """
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        raise click.UsageError(f"--on-my-servers uses those of {' and '.join(missing)}: set it")


def ask(settings: Settings, count: int) -> None:
    """Say what is about to happen, and let a person agree.

    Raises:
        click.Abort: They do not.
    """
    click.echo(
        f"This loads {count:,} events into {hide_password(settings.database_url)},\n"
        f"sends their updates to {hide_password(settings.broker_url)}\n"
        f"and publishes outcomes at {hide_password(settings.result_channel_url)}, "
        "which whoever listens there will see.\n"
        "The events and the dead letters are removed afterwards; the outcomes stay.",
        err=True,
    )
    click.confirm("Go on?", abort=True, err=True)


def drainer(settings: Settings, warn: Callable[[str], None]) -> Callable[[], None]:
    """Return what waits until the worker has fetched all that was sent.

    What stayed in the queue would be answered later, to whoever listens, for events that
    are not there any more.
    """

    def drain() -> None:
        broker, waiting = broker_of(settings.broker_url), 0.0
        deadline = time.monotonic() + DRAIN_SECONDS
        try:
            with broker.reach(settings) as server:
                while (waiting := broker.waiting(server)[0]) and time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS)
            reason = f"{waiting:,.0f} wait" if waiting else ""
        except Exception as error:  # noqa: BLE001 - of whatever library reaches the broker
            reason = hide_password(str(error)).partition("\n")[0] or type(error).__name__
        if reason:
            warn(f"Messages may have stayed in the queue ({reason}).")

    return drain


def remover(plan: Plan, settings: Settings, warn: Callable[[str], None]) -> Callable[[], None]:
    """Return what removes the events of a demo and its dead letters."""

    def remove() -> None:
        messages = {message.id for wave in plan.waves for message in wave}
        try:
            ids = [event.id for event in (*plan.events, plan.spare)]
            remove_events(settings.database_url, ids)
            url = settings.result_channel_url
            text = {"decode_responses": True}
            with open_client(url, asynchronous=False, key=DEAD_LETTERS, **text) as client:
                letters = DeadLetters(client)
                letters.drop([one.entry for one in letters.all() if one.message_id in messages])
        except (DatabaseError, redis.RedisError) as error:
            first, _ = plan.events[0].id.rsplit("_", 1)
            reason = str(error).partition("\n")[0]
            warn(f"Not everything was removed ({reason}): its events are {first}_….")

    return remove
