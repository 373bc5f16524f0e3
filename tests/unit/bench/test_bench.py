"""What the benchmarks make of what they measured, and how the load client reads answers."""

from __future__ import annotations

import asyncio
import os
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from bench import (
    command,
    comparing,
    http_client,
    http_load,
    http_report,
    listener,
    measuring,
    report,
)
from bench.accounting import Accounting
from bench.errors import BenchError, LeftOutError
from bench.http_report import GATEWAY, NOTHING, ONE_COMMIT, TUTORIAL
from bench.measuring import Latencies, Run
from bench.peers import graphile_worker
from bench.processes import process
from bench.rig import Rig, Running

PAGE = "\n".join(
    ["# Benchmarks", *report.PLACES["queue"], "between", *report.PLACES["http"], "end"]
)
MACHINE = {"processors": "2"}


def figures(*rates: float) -> dict[str, list[float]]:
    """Make what is measured of one contender at one size."""
    return {
        "requests": [10.0] * len(rates),
        "per_second": list(rates),
        "p50_milliseconds": [1.5] * len(rates),
        "p99_milliseconds": [2_500.0] * len(rates),
    }


def over_http(size: str, **contenders: list[float]) -> dict[str, Any]:
    """Make the results of a comparison at one size, with four connections."""
    names = {"ours": GATEWAY, "tutorial": TUTORIAL, "one_commit": ONE_COMMIT, "nothing": NOTHING}
    cell = {names[name]: figures(*rates) for name, rates in contenders.items()}
    return {"machine": MACHINE, "http": {"rounds": 3, "cells": {"4": {size: cell}}}}


def test_medians_and_spread_over_http() -> None:
    """Each contender has a line with its median, its extremes and its latencies."""
    table = http_report.as_table(over_http("1000", ours=[30_000, 10_000, 20_000])["http"])
    assert "| 4 | 1,000 | Settle | 20,000 | 10,000 to 30,000 | 1.5 ms | 2,500.0 ms | 30 |" in table
    assert "÷" not in table


@pytest.mark.parametrize(
    ("size", "rate", "verdict"),
    [
        pytest.param("1000", 2_000, "15.0 | 10.0 to 20.0 | 10 met", id="ten times as many"),
        pytest.param("1000", 4_000, "7.5 | 5.0 to 10.0 | 10 **not met**", id="not so many"),
        pytest.param("1", 40_000, "0.8 | 0.5 to 1.0 | 1 **not met**", id="slower at one"),
        pytest.param("10", 2_000, "15.0 | 10.0 to 20.0 | ", id="nothing is asked"),
    ],
)
def test_ratios_over_http(size: str, rate: float, verdict: str) -> None:
    """Ratios are taken round by round, and their median is what the target is for."""
    results = over_http(size, ours=[20_000, 40_000, 30_000], tutorial=[rate] * 3)
    line = f"| 4 | {int(size):,} | Settle ÷ tutorial, a commit per event | {verdict} |"
    assert line in http_report.as_table(results["http"]).splitlines()


def test_the_load_client_is_compared_too() -> None:
    """So that it can be seen whether it is what limits the others."""
    table = http_report.as_table(over_http("1", ours=[1_000], nothing=[20_000])["http"])
    assert "| nothing behind it ÷ Settle | 20.0 | 20.0 to 20.0 | 3 met |" in table


def test_figures_go_where_they_belong() -> None:
    """Writing the figures of one comparison leaves those of the other."""
    queue: dict[str, Any] = {"machine": MACHINE, "rates": {"Settle": [5.0]}}
    page = report.put_into(PAGE, queue)
    page = report.put_into(page, over_http("1", ours=[1_000]))
    assert "| Settle | 5 | 5 to 5 | 1 |" in page
    assert "| 4 | 1 | Settle | 1,000 |" in page
    assert report.put_into(page, queue) == page
    assert page.startswith("# Benchmarks\n")
    assert page.endswith("\nend")
    with pytest.raises(ValueError, match="no place"):
        report.put_into("an empty page", queue)


def test_figures_are_kept_together() -> None:
    """Neither comparison's JSON takes the other's away."""
    queue: dict[str, Any] = {"machine": MACHINE, "rates": {"Settle": [5.0]}}
    http = over_http("1", ours=[1_000])
    kept = report.merge(report.merge({}, queue), http)
    assert kept == {**queue, "http": {"machine": MACHINE, **http["http"]}}
    assert report.merge(kept, queue) == kept


@pytest.mark.parametrize(
    ("share", "expected"),
    [pytest.param(0.5, 3, id="p50"), pytest.param(0.99, 5, id="p99"), pytest.param(0, 1, id="p0")],
)
def test_percentiles(share: float, expected: float) -> None:
    """Of few values the 99th percentile is the highest."""
    assert http_load.percentile([5, 3, 1, 2, 4], share) == expected


def test_requests_name_each_event_once() -> None:
    """As many as there are whole ones."""
    spec = http_load.LoadSpec(8_000, "/path", 1, 2, 5, 1.0, token="a key")  # noqa: S106
    requests = http_load.make_requests(spec, 2, range(3, 8))
    assert [request.partition(b"\r\n\r\n")[2] for request in requests] == [
        b'[{"id":"evt_000000003","status":"completed"},{"id":"evt_000000004","status":"completed"}]',
        b'[{"id":"evt_000000005","status":"completed"},{"id":"evt_000000006","status":"completed"}]',
    ]
    assert b"Authorization: Bearer a key\r\nContent-Length: 89\r\n" in requests[0]


SETTLED = b'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n[{"updated":true}]'


class Answers(asyncio.Transport):
    """A connection that answers each request in pieces of some bytes."""

    def __init__(self, client: http_client.Client, answer: bytes, piece_bytes: int) -> None:
        super().__init__()
        self._client, self._answer, self._piece_bytes = client, answer, piece_bytes

    def write(self, data: Any) -> None:
        """Answer soon."""
        loop = asyncio.get_running_loop()
        for at in range(0, len(self._answer), self._piece_bytes):
            loop.call_soon(self._client.data_received, self._answer[at : at + self._piece_bytes])

    def close(self) -> None:
        """Leave the client as it is."""


def ask(answer: bytes, piece_bytes: int = 1_000) -> int:
    """Send three requests, and return how many were answered."""

    async def send() -> int:
        client = http_client.Client()
        client.connection_made(Answers(client, answer, piece_bytes))
        await client.send_all(iter([b"request"] * 3), 1, float("inf"))
        return len(client.latencies)

    return asyncio.run(send())


@pytest.mark.parametrize("piece_bytes", [1, 7, 1_000])
def test_answers_in_pieces(piece_bytes: int) -> None:
    """However an answer is cut, the next request is sent after its last byte."""
    assert ask(SETTLED, piece_bytes) == 3


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(SETTLED.replace(b"true", b"null"), id="not updated"),
        pytest.param(SETTLED.replace(b"200", b"503"), id="an error"),
        pytest.param(SETTLED.replace(b"Content-Length", b"Something-Else"), id="no length"),
    ],
)
def test_answers_that_do_not_count(answer: bytes) -> None:
    """A benchmark ends when anything is not settled."""
    with pytest.raises(BenchError):
        ask(answer)


def test_what_an_update_costs_is_taken_between_a_tenth_and_95_percent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of every part that is seen, with its children, of the outcomes that came in between."""
    seconds = iter([0.0, 1.0, 7.0])

    def processes(_: Any) -> list[Any]:
        used = next(seconds)
        times = (used, used, 0.0, 0.0, 1_000.0)
        return [
            SimpleNamespace(info={"pid": pid, "ppid": parent, "cpu_times": times})
            for pid, parent in ((1, 0), (2, 1), (3, 0))
        ]

    monkeypatch.setattr("psutil.process_iter", processes)
    account = Accounting(100, {"worker": [1], "Redis": [3], "RabbitMQ": []})
    assert account.microseconds == {}
    next(seconds)
    for outcomes in (0, 9, 12, 50, 96, 100):
        account.note(outcomes)
    # Six seconds, in user and in system mode, of two processes and of one; 84 outcomes.
    assert account.microseconds == {"worker": 24 / 84 * 1e6, "Redis": 12 / 84 * 1e6}


def test_a_table_of_costs_has_the_medians_and_says_what_has_failed() -> None:
    """A part that was not seen in each run has no figure."""
    costs = [{"worker": 1.0, "Redis": 5.0}, {"worker": 3.0, "Redis": 5.0, "RabbitMQ": 1.0}]
    results = {
        "machine": MACHINE,
        "rates": {"Settle": [5.0]},
        "costs": {"Settle": costs},
        "failed": {"celery-batches": "only 3 of 5 outcomes came"},
    }
    table = report.as_table(results)
    assert "| Settle | 2.0 |  | 5.0 |  |  |  |  | 7.0 |" in table
    assert "celery-batches has failed: only 3 of 5 outcomes came." in table


def test_rounds_that_one_of_two_did_not_finish_are_not_compared() -> None:
    """The others are."""
    assert comparing.ratios([4.0, 9.0, 1.0], [2.0, 3.0]) == [2.0, 3.0]


@pytest.mark.parametrize(
    ("rates", "line"),
    [
        pytest.param(
            {"Settle": [10.0], "Settle, Celery events on": [8.5]},
            "| Settle, Celery events on ÷ Settle | 0.85 | 0.85 to 0.85 | 0.85 met |",
            id="met",
        ),
        pytest.param(
            {"Settle": [10.0], "Settle, RabbitMQ": [6.9]},
            "| Settle, RabbitMQ ÷ Settle | 0.69 | 0.69 to 0.69 | 0.7 **not met** |",
            id="not met",
        ),
        pytest.param(
            {"Settle, RabbitMQ": [30.0], "celery-batches, RabbitMQ": [2.0]},
            "| Settle, RabbitMQ ÷ celery-batches, RabbitMQ | 15.00 | 15.00 to 15.00 | 15 met |",
            id="on RabbitMQ",
        ),
        pytest.param(
            {"Settle": [10.0], "Graphile Worker": [20.0]},
            "| Settle ÷ Graphile Worker | 0.50 | 0.50 to 0.50 |  |",
            id="nothing is asked",
        ),
    ],
)
def test_what_was_asked_is_met_or_not(rates: dict[str, list[float]], line: str) -> None:
    """By the median of the rounds, and only where something is asked."""
    assert line in report.as_table({"machine": MACHINE, "rates": rates}).splitlines()


@pytest.mark.parametrize(
    ("name", "milliseconds", "verdict"),
    [
        pytest.param("one by one", 5, "p50 ≤ 5, p99 ≤ 30 met", id="alone"),
        pytest.param("one by one", 6, "p50 ≤ 5, p99 ≤ 30 **not met**", id="alone, late"),
        pytest.param(
            "at half of the highest rate, 5 a second, RabbitMQ",
            *(101, "p50 ≤ 100, p99 ≤ 100 **not met**"),
            id="under load, late",
        ),
    ],
)
def test_latencies_are_held_against_what_is_asked(
    name: str, milliseconds: float, verdict: str
) -> None:
    """On either broker, by the round in the middle."""
    latency = {name: [[ms / 1000] * 100 for ms in (0.1, milliseconds, 200)]}
    results = {"machine": MACHINE, "rates": {"Settle": [5.0]}, "latency": latency}
    (line,) = [line for line in report.as_table(results).splitlines() if name in line]
    assert line.endswith(f"| {verdict} |")


def test_every_target_is_of_something_that_is_measured() -> None:
    """A contender that is renamed would lose its targets without a word."""
    measured = command._all_measured(cast("Any", SimpleNamespace(rabbitmq_url="amqp://host")))
    named = {name for one, other, _ in report.TARGETS for name in (one, other)}
    assert named <= measured.keys()


def measure(results: dict[str, Any]) -> dict[str, Any]:
    """Take turns, two rounds."""

    def make(result: Any) -> Any:
        def run() -> Run:
            if isinstance(result, Exception):
                raise result
            return Run(result, {})

        return run

    measured = {name: make(result) for name, result in results.items()}
    return command._in_turns(measured, 2, Console(quiet=True))


def test_who_is_not_installed_is_left_out_and_the_others_are_compared() -> None:
    """The report says why; that is no failure."""
    results = measure({"Settle": 5.0, "Graphile Worker": LeftOutError("no Node.js here")})
    assert results["rates"] == {"Settle": [5.0, 5.0]}
    assert (results["failed"], [*results["left_out"]]) == ({}, ["Graphile Worker"])
    table = report.as_table({"machine": MACHINE, **results})
    assert "Graphile Worker was left out: no Node.js here." in table


def test_who_fails_takes_no_other_figures_along() -> None:
    """What was measured of others, before and after, stays; whatever it fails of."""
    results = measure(
        {
            "Settle": 5.0,
            "celery-batches": BenchError("it died"),
            "two": ConnectionError("no amqp://u:hush@host//\nat all"),
            "another": 7.0,
        }
    )
    assert results["rates"] == {"Settle": [5.0, 5.0], "another": [7.0, 7.0]}
    assert results["failed"] == {"celery-batches": "it died", "two": "no amqp://u:***@host//"}


def test_a_run_that_ends_early_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latencies come last; should they fail, the rates and costs of all rounds are there."""
    monkeypatch.setattr(command, "machine", lambda _: MACHINE)
    monkeypatch.setattr(command, "_all_measured", lambda _: {"Settle": lambda: Run(8.0, {})})
    monkeypatch.setattr(
        measuring, "lonely_latencies", lambda *_: Latencies([0.001] * 100, {"worker": 90.0})
    )

    def fail(*_: Any) -> None:
        raise BenchError("only 3 of 5 outcomes came")

    monkeypatch.setattr(measuring, "latencies_under_load", fail)
    results: dict[str, Any] = {}
    with pytest.raises(BenchError, match="only 3"):
        command._run(cast("Any", None), 2, (), Console(quiet=True), results)
    assert results["rates"] == {"Settle": [8.0, 8.0]}
    table = report.as_table(results)
    assert "| one by one, 50 a second | 1.0 |" in table
    assert "| one by one, 50 a second | 90.0 |  |  |  |  |  |  | 90.0 |" in table
    assert "at half" not in table


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param(
            "print('out'); sys.exit('settle: DATABASE_URL: no')",
            "exit code 1: settle: DATABASE_URL: no",
            id="an error",
        ),
        pytest.param(
            "print('beginning', file=sys.stderr); raise OSError('no room')",
            "exit code 1: OSError: no room",
            id="a traceback",
        ),
        pytest.param("os.kill(os.getpid(), 9)", "signal 9: it wrote nothing", id="killed"),
    ],
)
def test_it_is_said_why_a_worker_ended(script: str, why: str) -> None:
    """In the one line that is kept of a contender that failed."""
    rig = Rig("", "redis://127.0.0.1:1")
    rig.published = lambda: 3  # type: ignore[method-assign]
    with process([sys.executable, "-c", f"import os, sys; {script}"], {**os.environ}) as worker:
        worker.wait()
        with pytest.raises(BenchError) as raised:
            rig.wait(5, Running([worker], []))
    assert str(raised.value) == f"only 3 of 5 outcomes came, then a worker ended: {why}"


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_outcomes_are_received_when_the_last_byte_of_them_came(size: int) -> None:
    """However they were cut on their way."""
    data = b"".join(
        b"*3\r\n$7\r\nmessage\r\n$14\r\nevent-outcomes\r\n$%d\r\n%s\r\n" % (len(text), text)
        for text in (b'{"id":"ev_1"}', b'{"id":"ev_2"}')
    )
    came = [(at, data[at : at + size]) for at in range(0, len(data), size)]
    half = len(data) // 2
    expected = {"ev_1": (half - 1) // size * size, "ev_2": (len(data) - 1) // size * size}
    assert listener.moments(came) == expected


def test_without_node_graphile_worker_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is copied or fetched."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(LeftOutError, match=r"no Node\.js"):
        graphile_worker.folder.__wrapped__()


def test_graphile_worker_is_given_the_statements_of_the_other_peers() -> None:
    """With parameters as PostgreSQL numbers them."""
    written = graphile_worker.numbered("SELECT %s, a FROM t WHERE id = ANY(%s)")
    assert written == "SELECT $1, a FROM t WHERE id = ANY($2)"
    assert graphile_worker.statements()["UPDATE"].count("$") == 3
