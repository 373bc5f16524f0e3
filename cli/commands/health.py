"""`settle health`: a probe, for whoever watches over a worker.

Reads what the worker has written, and connects to nothing.
"""

from __future__ import annotations

import time

import click

from cli import exit_status
from worker.watching import statefile
from worker.watching.judging import Judgement


@click.command("health")
@click.argument("question", type=click.Choice(["live", "ready"]))
@click.option("--node", default="", help="The worker's node name, if several run here.")
def command(*, question: str, node: str) -> None:
    """Tell whether the worker on this machine is live, or ready: exit code 0 or 1.

    Live: starting it anew would not help. Ready: it settles updates.
    """
    try:
        verdict = statefile.look_up(statefile.find(node), question, time.monotonic())
    except LookupError as error:
        verdict = Judgement(False, str(error))
    click.echo(f"{'' if verdict.holds else 'not '}{question}: {verdict.why}", err=not verdict.holds)
    raise SystemExit(exit_status.DONE if verdict.holds else exit_status.FAILED)
