"""`settle demo`: the main job, end to end, on real servers, counted and compared."""

from __future__ import annotations

import json
import secrets
import signal
import sys
import time
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live

from cli import exit_status
from cli.demo import borrowed, keeping, report
from cli.demo.keeping import start_flower
from cli.demo.plan import Plan, make_plan
from cli.demo.reconciliation import Reconciliation, reconcile
from cli.demo.stack import WORKER, Stack, stack
from cli.demo.tally import Tally
from db import Database, DatabaseError
from db.loading import load_events
from db.migrate import migrate
from service.settings import load_settings
from settle_client.outcomes import OutcomeClient

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from cli.demo.keeping import Flower

# With nothing new for this long, something is wrong.
PATIENCE_SECONDS = 60.0
LOG_LINES_SHOWN = 15
POLL_SECONDS = 0.05


@click.command("demo")
@click.option("--events", "count", default=20_000, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=1, show_default=True, help="The same again sends the same.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@click.option("--keep", is_flag=True, help="Leave everything running, with Flower, until Ctrl-C.")
@click.option(
    "--on-my-servers", is_flag=True, help="Use those of CELERY_BROKER_URL and DATABASE_URL."
)
@click.option("--yes", is_flag=True, help="With --on-my-servers: do not ask.")
def command(
    *, count: int, seed: int, as_json: bool, keep: bool, on_my_servers: bool, yes: bool
) -> None:
    """Settle made-up events on real servers and check that every outcome is right.

    Starts PostgreSQL and Valkey of its own, a Celery worker, and a producer in a process
    of its own. No setting of yours is used, and no server, unless you ask for that.
    """
    if on_my_servers:
        borrowed.check_named()
        if not yes:
            borrowed.ask(load_settings(), count)
    console = Console(stderr=as_json)
    started = time.time()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(exit_status.STOPPED))
    with stack(has_own_servers=not on_my_servers) as running:
        demo = Demo(running, console, count=count, seed=seed, keeps=keep)
        result = demo.run()
        first = (demo.tally.first_at or started) - started
        if as_json:
            figures = report.as_dict(demo.tally, result, first_outcome_seconds=first)
            click.echo(json.dumps(figures, indent=2))
        else:
            console.print(report.final(demo.tally, result))
            console.print(f"The first outcome came {first:.1f} s after the start.")
            console.print(report.WHY_THIS_RATE, soft_wrap=True)
        if demo.flower is not None:
            keeping.keep(running, console, demo.flower, demo.plan.spare.id)
    if not result.agrees:
        raise click.exceptions.Exit(exit_status.FAILED)


class Demo:
    """One run."""

    def __init__(
        self, running: Stack, console: Console, *, count: int, seed: int, keeps: bool
    ) -> None:
        self.stack = running
        self.console = console
        self.run_id = secrets.token_hex(3)
        self.count, self.seed, self.keeps = count, seed, keeps
        self.plan = make_plan(run=self.run_id, count=count, seed=seed)
        self.flower: Flower | None = None
        self.tally = Tally()
        self.worker_log: deque[str] = deque(maxlen=LOG_LINES_SHOWN)

    def run(self) -> Reconciliation:
        """Do it all, from servers to comparison."""
        self.console.print("Starting the servers, a Celery worker and a producer …")
        plan = self.plan
        self.stack.start_broker()
        if not self.stack.has_own_servers:
            # Last, when nothing works on them any more.
            self.stack.at_end(borrowed.remover(plan, load_settings(), self.console.print))
        self.stack.reserve_database()
        worker = self._start_worker()
        arguments = (self.run_id, str(self.count), str(self.seed))
        producer = self.stack.start(
            "cli.demo.producer", *arguments, on_line=self.tally.add_sent_line
        )
        self.stack.start_database()
        self._load(plan)
        if self.flower is not None:
            self.flower.wait()
        self._send_waves(plan, worker, producer)
        return self._reconcile(plan)

    def _start_worker(self) -> subprocess.Popen[str]:
        """Start it, and whoever watches it."""
        options = ("--task-events",) if self.keeps else ()
        worker = self.stack.start(*WORKER, *options, on_line=self._on_worker_line)
        if not self.stack.has_own_servers:
            # When the producer has ended, and the worker has not.
            self.stack.at_end(borrowed.drainer(load_settings(), self.console.print))
        if self.keeps:
            self.flower = start_flower(self.stack)
        return worker

    def _load(self, plan: Plan) -> None:
        url = load_settings().database_url
        if self.stack.has_own_servers:
            migrate(url)
        try:
            load_events(url, [*plan.events, plan.spare] if self.keeps else plan.events)
        except DatabaseError as error:
            raise click.ClickException(f"the events could not be loaded: {error}") from error

    def _on_worker_line(self, line: str) -> None:
        self.worker_log.append(line)
        self.tally.add_log_line(line)

    def _send_waves(
        self, plan: Plan, worker: subprocess.Popen[str], producer: subprocess.Popen[str]
    ) -> None:
        """Send each wave when the one before is answered."""
        sizes = {message.id: len(message.updates) for wave in plan.waves for message in wave}
        client = OutcomeClient(load_settings().result_channel_url)
        position = client.position()
        target = 0
        with closing(client), _Display(self.console, self.tally, plan.expected.total()) as show:
            for number, wave in enumerate(plan.waves):
                assert producer.stdin is not None  # noqa: S101 - it is a pipe
                producer.stdin.write(f"{number}\n")
                producer.stdin.flush()
                target += sum(len(message.expected) for message in wave)
                news_at = time.monotonic()
                while self.tally.received < target:
                    if outcomes := client.poll(position, wait_seconds=POLL_SECONDS):
                        news_at, position = time.monotonic(), outcomes[-1][0]
                    for _, outcome in outcomes:
                        self.tally.add_outcome(outcome, sizes)
                    self._check_alive((worker, producer), news_at)
                    show()

    def _check_alive(self, processes: tuple[subprocess.Popen[str], ...], news_at: float) -> None:
        died = any(process.poll() is not None for process in processes)
        if died or time.monotonic() - news_at > PATIENCE_SECONDS:
            what = "a process ended" if died else f"nothing new for {PATIENCE_SECONDS:g} s"
            words = "".join(self.worker_log)
            raise click.ClickException(f"{what}; the worker's last words:\n{words}")

    def _reconcile(self, plan: Plan) -> Reconciliation:
        with closing(Database(load_settings().database_url)) as database:
            rows = database.read_events([event.id for event in plan.events])
        return reconcile(plan, self.tally, rows)


class _Display:
    """Draws on a terminal, writes a line a second elsewhere."""

    def __init__(self, console: Console, tally: Tally, total: int) -> None:
        self._console, self._tally, self._total = console, tally, total
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown_at = 0.0

    def __enter__(self) -> Callable[[], None]:
        if self._live:
            self._live.start()
        return self.show

    def __exit__(self, *_: object) -> None:
        self.show(last=True)
        if self._live:
            self._live.stop()

    def show(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if not last and now - self._shown_at < (0.1 if self._live else 1.0):
            return
        self._shown_at = now
        if self._live:
            self._live.update(report.progress(self._tally, self._total), refresh=True)
        else:
            line = report.progress_line(self._tally, self._total)
            self._console.print(line, highlight=False, soft_wrap=True)
