"""What `settle doctor` makes of facts."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from cli.doctor import (
    consistency,
    gateway,
    management,
    replica,
    result_backend,
    result_channel,
    webhooks,
)
from cli.doctor import workers as workers_checks
from cli.doctor.examination import Part, examine
from cli.doctor.parts import gateway_part, settings_part, webhooks_part, workers_part
from cli.doctor.workers import WorkerFacts, Workers, ask_workers
from gateway.access.keys import as_toml, draw
from service import database_checks, pages, redis_checks
from service.clock import judge_clock
from service.finding import Finding, Verdict, failure, ok
from service.pages import section
from service.settings import Settings
from tests.deployment import ROOT
from tests.webhooks import endpoint
from worker.transport import kombu as kombu_checks
from worker.transport.rabbitmq import checks as rabbitmq_checks
from worker.transport.redis import checks as worker_checks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS = WorkerFacts("w1", is_ours=True, pool="thread", concurrency=2, lease_seconds=30)


@contextmanager
def nothing() -> Iterator[None]:
    """Give nothing to check."""
    yield


@contextmanager
def away() -> Iterator[None]:
    """Give not even that."""
    raise ConnectionError("refused\nand more")
    yield


def good(_: Any) -> Finding:
    """Find nothing wrong."""
    return ok("fine")


def broken_check(_: Any) -> Finding:
    """Not come to an end."""
    raise KeyError("aof")


def test_a_check_that_breaks_does_not_keep_the_others() -> None:
    """It says that it could not be made."""
    part = Part("thing", "", "", nothing, (good, broken_check, good))
    verdicts = [(result.check, result.finding.verdict) for result in examine(part)]
    assert verdicts == [
        ("good", Verdict.OK),
        ("broken check", Verdict.UNKNOWN),
        ("good", Verdict.OK),
    ]


def test_what_is_away_fails_once() -> None:
    """The other checks of it say that they were not made."""
    part = Part("thing", "", "start it", away, (good, broken_check))
    assert [result.finding for result in examine(part)] == [
        failure("not reached: refused", "start it"),
        Finding(Verdict.UNKNOWN, "not checked: no thing"),
    ]


def test_no_password_is_in_a_finding() -> None:
    """A driver may quote the URL that it could not use."""

    def quoting(*_: Any) -> NoReturn:
        raise ConnectionError("no postgresql://u:se;cret@host/db")

    for reach, checks in ((quoting, (good,)), (nothing, (quoting,))):
        (result,) = examine(Part("thing", "", "start it", reach, checks))
        assert "no postgresql://u:***@host/db" in result.finding.found


@pytest.mark.parametrize(
    ("ahead_seconds", "verdict"),
    [(0.2, Verdict.OK), (-3.0, Verdict.WARNING), (3_600.0, Verdict.FAILURE)],
)
def test_clocks_may_be_a_little_apart(ahead_seconds: float, verdict: Verdict) -> None:
    """In either direction."""
    assert judge_clock(ahead_seconds).verdict is verdict


@pytest.mark.parametrize(
    ("check", "values", "workers"),
    [
        pytest.param("lease", {"lease_seconds": 2}, [], id="short-lease"),
        pytest.param(
            "lease",
            {},
            [WorkerFacts("w", is_ours=True, pool="solo", concurrency=1, lease_seconds=30)],
            id="solo-renews-nothing",
        ),
        pytest.param(
            "leases of others",
            {},
            [WorkerFacts("w", is_ours=True, pool="thread", concurrency=1, lease_seconds=40)],
            id="another-lease",
        ),
        pytest.param("stop", {"stop_timeout_seconds": 5}, [], id="stop-before-lock"),
        pytest.param(
            "timeouts",
            {"lock_timeout_seconds": 15, "statement_timeout_seconds": 12},
            [],
            id="lock-after-statement",
        ),
        pytest.param("batch", {"batch_max_updates": 10}, [], id="message-over-batch"),
        pytest.param(
            "pool",
            {},
            [WorkerFacts("w", is_ours=True, pool="thread", concurrency=21, lease_seconds=30)],
            id="more-slots-than-connections",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_warned_of(
    check: str, values: dict[str, Any], workers: list[WorkerFacts]
) -> None:
    """Each alone would be fine; every other check still is."""
    findings = judge(values, workers)
    assert findings.pop(check).verdict is Verdict.WARNING
    assert {finding.verdict for finding in findings.values()} == {Verdict.OK}


@pytest.mark.parametrize(
    ("check", "values", "workers"),
    [
        pytest.param("lease", {"statement_timeout_seconds": 300}, [], id="batch-over-any-lease"),
        pytest.param(
            "leases of others",
            {},
            [WorkerFacts("w", is_ours=True, pool="prefork", concurrency=1, lease_seconds=5)],
            id="somebody-takes-from-the-living",
        ),
        pytest.param(
            "leases of others",
            {"lease_seconds": 7},
            [OURS],
            id="we-take-from-the-living",
        ),
    ],
)
def test_settings_that_take_messages_from_the_living_fail(
    check: str, values: dict[str, Any], workers: list[WorkerFacts]
) -> None:
    """They make duplicates, and blame messages for deaths that were none."""
    finding = judge(values, workers)[check]
    assert finding.verdict is Verdict.FAILURE
    assert finding.fix


def test_defaults_go_together() -> None:
    """With a worker, with none, and with one of another application on the broker."""
    stranger = WorkerFacts("w", is_ours=False, pool="prefork", concurrency=1, lease_seconds=None)
    for workers in ([], [OURS], [OURS, stranger]):
        assert {finding.verdict for finding in judge({}, workers).values()} == {Verdict.OK}


def test_only_rabbitmq_has_no_leases() -> None:
    """There the broker knows who is alive; sentinels watch a Redis."""
    values = {"broker_url": "sentinel://one", "outcome_url": "redis://outcomes"}
    assert judge({**values, "lease_seconds": 1}, [])["lease"].verdict is Verdict.WARNING
    values = {"broker_url": "amqp://rabbit", "outcome_url": "redis://outcomes"}
    assert judge({**values, "lease_seconds": 1}, [])["lease"].verdict is Verdict.OK


def judge(values: dict[str, Any], workers: list[WorkerFacts]) -> dict[str, Finding]:
    """Examine settings that differ from the defaults, by check."""
    settings = Settings.model_construct(**{**Settings().model_dump(), **values})
    part = settings_part(settings, Workers(tuple(workers)))
    return {result.check: result.finding for result in examine(part)}


@pytest.mark.parametrize(
    ("workers", "verdict"),
    [
        (Workers((OURS,)), Verdict.OK),
        (Workers(), Verdict.WARNING),
        (
            Workers((WorkerFacts("w", is_ours=False, pool="", concurrency=1, lease_seconds=None),)),
            Verdict.WARNING,
        ),
        (Workers(not_asked="no broker"), Verdict.UNKNOWN),
    ],
    ids=["ours", "none", "only-others", "not-asked"],
)
def test_somebody_must_consume(workers: Workers, verdict: Verdict) -> None:
    """Workers of other queues do not."""
    result, *_ = examine(workers_part(workers))
    assert result.finding.verdict is verdict


def test_sessions_are_counted_by_pool() -> None:
    """Threads share a pool of connections, child processes have one each."""
    threads = WorkerFacts("w", is_ours=True, pool="thread", concurrency=30, lease_seconds=30)
    prefork = WorkerFacts("w", is_ours=True, pool="prefork", concurrency=30, lease_seconds=30)
    assert (threads.sessions, prefork.sessions) == (20, 30)


def test_the_endpoints_are_those_of_the_file(tmp_path: Path) -> None:
    """One that webhooks would not take fails, for they go on with what stood there before."""
    file = tmp_path / "webhooks.toml"
    file.write_text(endpoint("one", "https://one.example/"))
    (understood,) = examine(webhooks_part(str(file)))
    assert understood.finding.verdict is Verdict.OK
    file.write_text("")
    (empty,) = examine(webhooks_part(str(file)))
    assert (empty.finding.verdict, empty.finding.found) == (
        Verdict.FAILURE,
        f"{file}: has no endpoints: see settle webhooks new-endpoint",
    )
    assert empty.finding.fix


def test_the_gateways_keys_are_those_of_the_file(tmp_path: Path) -> None:
    """One that it would not take fails, for it may go on with keys that were taken out."""
    file = tmp_path / "keys.toml"
    (missing,) = examine(gateway_part(str(file)))
    assert missing.finding.found == f"{file} is not there: see settle gateway new-key"
    file.write_text(as_toml(draw("billing", ["acct_1"])[1]))
    (understood,) = examine(gateway_part(str(file)))
    assert understood.finding.verdict is Verdict.OK
    file.write_text("")
    (empty,) = examine(gateway_part(str(file)))
    assert (empty.finding.verdict, empty.finding.found) == (
        Verdict.FAILURE,
        f"{file} has no keys: see settle gateway new-key",
    )
    assert empty.finding.fix


@pytest.mark.parametrize(
    ("is_tripped", "verdict"), [(True, Verdict.FAILURE), (False, Verdict.WARNING)]
)
def test_a_worker_that_is_not_ready_says_why(is_tripped: bool, verdict: Verdict) -> None:
    """It is there, though it consumes nothing."""
    idle = replace(OURS, not_ready="it does not consume: …", is_tripped=is_tripped)
    result, *_ = examine(workers_part(Workers((OURS, idle))))
    assert result.finding.verdict is verdict
    assert result.finding.found == "w1 is not ready: it does not consume: …"


def test_workers_of_one_name_are_counted_and_named() -> None:
    """Whoever asks for one of them hears either."""
    twins = Workers((OURS, OURS, replace(OURS, name="w2"), replace(OURS, is_ours=False)))
    (finding,) = (r.finding for r in examine(workers_part(twins)) if r.check == "names")
    assert finding.verdict is Verdict.WARNING
    assert finding.found.startswith("2 workers are named w1: ")
    assert "w2" not in finding.found


class Control:
    """Answers as workers do; those of one name all at once, or by turns."""

    def __init__(self, *rounds: list[dict[str, Any]]) -> None:
        self._rounds = list(rounds)

    def broadcast(self, question: str, **_: Any) -> list[dict[str, Any]] | None:
        """Give the next answers."""
        return self._rounds.pop(0) if question == "stats" else None


def stats(pid: int) -> dict[str, Any]:
    """Return what a worker named w1 says of itself."""
    return {"w1": {"pid": pid, "settle": {}}}


@pytest.mark.parametrize(
    ("rounds", "count"),
    [
        (([stats(5)], [stats(5)]), 1),
        (([stats(5), stats(6)], [stats(6), stats(5)]), 2),
        (([stats(1), stats(1)], [stats(1)]), 2),
        (([stats(5)], [stats(6)]), 2),
        (([], []), 0),
        (([{"w1": "an error"}], []), 0),
    ],
    ids=["one", "both at once", "in containers", "by turns", "none", "no worker's answer"],
)
def test_every_worker_of_a_name_is_found(
    rounds: tuple[list[dict[str, Any]], ...], count: int
) -> None:
    """However the broker spreads the question."""
    app = SimpleNamespace(control=Control(*rounds))
    assert len(ask_workers(app).ours) == count


PARTS = {
    "redis": (*redis_checks.CHECKS, *worker_checks.CHECKS),
    "rabbitmq": rabbitmq_checks.CHECKS,
    "management": management.CHECKS,
    "result channel": (*redis_checks.CHECKS, *result_channel.CHECKS),
    "result backend": result_backend.CHECKS,
    "database": database_checks.CHECKS,
    "replica": replica.CHECKS,
    "gateway": gateway.CHECKS,
    "webhooks": webhooks.CHECKS,
    "workers": workers_checks.CHECKS,
    "settings": consistency.CHECKS,
    "another broker": kombu_checks.AnyOther.checks,
}


@pytest.mark.parametrize(
    ("subject", "check"),
    [(subject, check.__name__) for subject, checks in PARTS.items() for check in checks],
)
def test_every_verdict_names_a_section_that_is_there(subject: str, check: str) -> None:
    """In the pages as they are."""
    page, _, anchor = section(subject, check.replace("_", " ")).partition("#")
    assert anchor in anchors_of(page)


def anchors_of(page: str) -> set[str]:
    """Return the anchors of a page, as they are made of its headings."""
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_section_is_of_a_check_that_there_is_not() -> None:
    """A check that was renamed would lose its section otherwise, silently."""
    for subject, sections in pages._SECTIONS.items():
        checks = {check.__name__.replace("_", " ") for check in PARTS[subject]}
        assert sections.keys() <= {"", *checks}
