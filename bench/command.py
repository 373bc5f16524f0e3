"""`settle bench`: everything side by side, round after round."""

from __future__ import annotations

import json
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import psycopg
from rich.console import Console

from bench import measuring
from bench.contenders import CONTENDERS, ON_RABBITMQ, SETTLE
from bench.errors import BenchError, LeftOutError
from bench.growth import growth
from bench.measuring import Latencies, Run
from bench.report import COUNTING, as_table, write
from bench.rig import Rig, rig
from service.addresses import hide_password

if TYPE_CHECKING:
    from collections.abc import Callable

GROWTH_ROUNDS = 3
PACKAGES = ("celery", "kombu", "redis", "hiredis", "psycopg", "sqlalchemy", "pydantic")
PACKAGES_OF_HTTP = (
    "psycopg",
    "sqlalchemy",
    "pydantic",
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
)


@click.command("bench")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--only", multiple=True, help="Part of a name; may be given again.")
@click.option("--database-url", default="", help="An empty PostgreSQL; by default one is started.")
@click.option("--broker-url", default="", help="An empty Redis; by default a Valkey is started.")
@click.option("--rabbitmq-url", default="", help="A RabbitMQ; without one it is left out.")
@click.option("--growth", "also_growth", is_flag=True, help="Also what grows; half an hour.")
@click.option("--http", "over_http", is_flag=True, help="The gateway instead of the queue.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Where to write all.")
@click.option("--write", "into_docs", is_flag=True, help="Write docs/benchmarks.md's figures.")
def command(
    *,
    rounds: int,
    only: tuple[str, ...],
    database_url: str,
    broker_url: str,
    rabbitmq_url: str,
    also_growth: bool,
    over_http: bool,
    json_path: Path | None,
    into_docs: bool,
) -> None:
    """Compare Settle with what people use today, on this machine, in one run.

    Every contender settles the same kind of events with the guarded update and
    publishes an outcome for each; they take turns, as often as there are rounds.
    With --http it is the gateway, beside the endpoint that a tutorial has one write.
    """
    if over_http and (only or also_growth or rabbitmq_url):
        raise click.UsageError("--http takes neither --only nor --growth nor --rabbitmq-url")
    console = Console(stderr=True)
    results: dict[str, Any] = {}
    failure: BenchError | None = None
    try:
        with rig(database_url, broker_url, rabbitmq_url) as at:
            if over_http:
                results |= _run_http(at, rounds, console)
            else:
                _run(at, rounds, only, console, results)
            if also_growth:
                results["growth"] = growth(at, min(rounds, GROWTH_ROUNDS), console.print)
    except BenchError as error:
        failure = error
    finally:
        # What was measured before something failed took its time too.
        if results:
            _tell(results, json_path, into_docs=into_docs)
    if results.get("failed"):
        raise click.ClickException(f"no figure, or too few, of: {', '.join(results['failed'])}")
    if failure:
        raise click.ClickException(str(failure)) from failure


def _tell(results: dict[str, Any], json_path: Path | None, *, into_docs: bool) -> None:
    click.echo(as_table(results))
    if json_path:
        json_path.write_text(json.dumps(results, indent=1) + "\n")
    if into_docs:
        write(results)


def _run(
    at: Rig, rounds: int, only: tuple[str, ...], console: Console, results: dict[str, Any]
) -> None:
    """Add to the results as they come, for what is measured next may fail."""
    everything = _all_measured(at)
    measured = {
        name: measure
        for name, measure in everything.items()
        if not only or any(part in name for part in only)
    }
    if not measured:
        raise click.UsageError(f"--only names nothing of: {', '.join(everything)}")
    about = machine(at)
    rates = _in_turns(measured, rounds, console)
    results |= {"machine": about, "rounds": rounds, **rates}
    if not only:
        results["latency"] = {}
        for number in range(1, rounds + 1):
            console.print(f"round {number} of {rounds}  latencies", highlight=False)
            _latencies(at, rates["rates"], console, results)


def _all_measured(at: Rig) -> dict[str, Callable[[], Run]]:
    measured: dict[str, Callable[[], Run]] = {
        contender.name: lambda contender=contender: measuring.run(at, contender)  # type: ignore[misc]
        for contender in CONTENDERS
        if at.rabbitmq_url or not contender.on_rabbitmq
    }
    measured["PostgreSQL alone, one connection"] = lambda: Run(measuring.postgres_alone(at), {})
    if at.rabbitmq_url:
        measured[COUNTING] = lambda: measuring.rabbitmq_alone(at)
    measured["sending: Settle's producer"] = lambda: Run(measuring.producing(at), {})
    measured["sending: send_task"] = lambda: Run(measuring.send_task(at), {})
    return measured


def _in_turns(
    measured: dict[str, Callable[[], Run]], rounds: int, console: Console
) -> dict[str, Any]:
    rates: dict[str, list[float]] = {}
    costs: dict[str, list[dict[str, float]]] = {}
    failed: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for number in range(1, rounds + 1):
        # Without those that cannot: what the others did in each round can still be told.
        for name in [name for name in measured if name not in {**failed, **left_out}]:
            title = f"round {number} of {rounds}  {name:43}"
            try:
                rate, microseconds = measured[name]()
            except Exception as error:  # noqa: BLE001 - of whatever library it uses
                missing = isinstance(error, LeftOutError)
                (left_out if missing else failed)[name] = _why(error)
                console.print(
                    f"{title} {'left out' if missing else 'failed'}: {error}", highlight=False
                )
                continue
            rates.setdefault(name, []).append(rate)
            if microseconds:
                costs.setdefault(name, []).append(microseconds)
            console.print(f"{title} {rate:9,.0f}/s", highlight=False)
    return {"rates": rates, "costs": costs, "failed": failed, "left_out": left_out}


def _why(error: Exception) -> str:
    return hide_password(str(error)).strip().partition("\n")[0] or type(error).__name__


def _latencies(
    at: Rig,
    rates: dict[str, list[float]],
    console: Console,
    results: dict[str, Any],
) -> None:
    for contender, where in ((SETTLE, ""), (ON_RABBITMQ, ", RabbitMQ")):
        if contender.name not in rates:
            continue
        half = statistics.median(rates[contender.name]) / 2
        console.print(f"latency of lonely updates, then at half of the highest rate{where}")
        alone, loaded = (
            f"one by one, 50 a second{where}",
            f"at half of the highest rate, {half:,.0f} a second{where}",
        )
        _note(results, alone, measuring.lonely_latencies(at, contender))
        _note(results, loaded, measuring.latencies_under_load(at, half, contender))


def _note(results: dict[str, Any], name: str, latencies: Latencies) -> None:
    results["latency"].setdefault(name, []).append(latencies.seconds)
    results["costs"].setdefault(name, []).append(latencies.microseconds)


def _run_http(at: Rig, rounds: int, console: Console) -> dict[str, Any]:
    try:
        about = machine(at, PACKAGES_OF_HTTP)
        from bench.http import compare  # noqa: PLC0415 - of a group
    except ModuleNotFoundError as error:
        raise BenchError(
            f"{error.name} is not installed: uv run --group bench settle bench --http"
        ) from error

    def say(text: str) -> None:
        console.print(text, highlight=False)

    return {"machine": about, "http": compare(at, rounds, say)}


def machine(at: Rig, packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Return what a run was on."""
    with psycopg.connect(at.database_url) as connection:
        (postgres,) = connection.execute("SHOW server_version").fetchone() or ("",)
    server = at.redis.info("server")
    name = "Valkey" if "valkey_version" in server else "Redis"
    return {
        "processors": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "PostgreSQL": postgres.partition(" ")[0],
        name: server.get("valkey_version") or server["redis_version"],
        **{package: version(package) for package in packages},
    }
