"""`settle top`: the whole service at a glance, from the broker and the workers themselves."""

from __future__ import annotations

import json
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, cast

import click
from rich.console import Console
from rich.live import Live

from cli.doctor.workers import ANSWER_SECONDS
from cli.durations import Seconds
from cli.top.asking import Asker
from cli.top.json_view import to_json
from cli.top.screen import Screen
from cli.top.view import advance
from service.addresses import hide_password
from service.settings import load_settings

if TYPE_CHECKING:
    from cli.top.view import View
    from service.settings import Settings


@click.command("top")
@click.option("--once", is_flag=True, help="Print one table, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and end.")
@click.option(
    "--interval",
    "interval_seconds",
    default=2.0,
    show_default=True,
    type=Seconds(min=1),
    help="Seconds from poll to poll, over which rates are taken.",
)
def command(*, once: bool, as_json: bool, interval_seconds: float) -> None:
    """Watch all workers and the queue: rates, backlog, latency, outcomes, health.

    Asks the broker and the workers; needs no Prometheus. Ctrl-C ends it. Where
    stdout is no terminal it prints one table, as with --once.
    """
    settings = load_settings()
    from worker.celery import app  # noqa: PLC0415 - it leaves when the settings cannot work

    console = Console()
    with closing(Asker(settings, app)) as asker, suppress(KeyboardInterrupt):
        if not (once or as_json) and console.is_terminal and not console.is_dumb_terminal:
            _watch(asker, settings, console, interval_seconds)
            return
        view = _look(asker, settings, interval_seconds)
        if as_json:
            click.echo(json.dumps(to_json(view)))
        else:
            console.print(_screen(view, settings))


def _look(asker: Asker, settings: Settings, interval_seconds: float) -> View:
    """Return a view with rates, which takes two polls."""
    view, due = None, time.monotonic()
    for _ in range(2):
        time.sleep(max(0.0, due - time.monotonic()))
        due += interval_seconds
        view = advance(view, asker.poll())
        if view.poll.broker_away:
            raise click.ClickException(
                f"CELERY_BROKER_URL: {hide_password(settings.broker_url)} does not answer: "
                f"{view.poll.broker_away}"
            )
    return cast("View", view)


def _watch(asker: Asker, settings: Settings, console: Console, interval_seconds: float) -> None:
    view = advance(None, asker.poll())
    with Live(_screen(view, settings), console=console, screen=True) as live:
        while True:
            # An answer is waited for most of the time.
            time.sleep(
                max(0.0, view.poll.at + interval_seconds - time.monotonic() - ANSWER_SECONDS)
            )
            view = advance(view, asker.poll())
            live.update(_screen(view, settings), refresh=True)


def _screen(view: View, settings: Settings) -> Screen:
    return Screen(view, hide_password(settings.broker_url), time.strftime("%H:%M:%S"))
