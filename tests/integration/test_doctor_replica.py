"""What the doctor says of the replica that lists are read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import make_url

from cli.doctor import replica as checks
from cli.doctor.examination import examine
from cli.doctor.parts import replica_part
from service.finding import Finding, Verdict
from tests.accounts import postgres_role
from tests.service import eventually
from tests.standby import Pair, pair, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

OK, WARNING = Verdict.OK, Verdict.WARNING


@pytest.fixture
def servers() -> Iterator[Pair]:
    """Give a primary and a standby."""
    with pair() as servers:
        yield servers


def say(servers: Pair, url: str = "") -> dict[str, Finding]:
    """Return what the doctor says, by check."""
    part = replica_part(servers.primary.url, url or servers.standby.url)
    return {result.check: result.finding for result in examine(part)}


def verdicts(findings: dict[str, Finding]) -> tuple[Verdict, ...]:
    """Return how following, the lag and the privileges stand."""
    return tuple(findings[check].verdict for check in ("following", "lag", "privileges"))


def on(url: str, statement: str) -> None:
    """Do something as the owner."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(statement.encode())


def test_a_standby_that_follows_is_good(servers: Pair) -> None:
    """Also for the documented role that only reads."""
    assert verdicts(say(servers)) == (OK, OK, OK)
    assert say(servers)["lag"].found.endswith("s behind")
    with postgres_role("settle_reader", servers.primary.url) as url:
        there = url.replace(str(servers.primary.port), str(servers.standby.port))
        # The role comes with the rest.
        eventually(lambda: verdicts(say(servers, there)) == (OK, OK, OK))


def test_a_standby_that_lags_is_warned_of(servers: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the age of what it shows."""
    monkeypatch.setattr(checks, "CATCH_UP_SECONDS", 0.2)
    on(servers.standby.url, "SELECT pg_wal_replay_pause()")
    wait_for(servers.standby, "SELECT pg_get_wal_replay_pause_state()", "paused")
    on(servers.primary.url, "SELECT pg_logical_emit_message(true, 'x', '')")
    found = say(servers)
    assert verdicts(found) == (OK, WARNING, OK)
    assert "more than 0.2 s behind" in found["lag"].found


def test_a_role_that_may_not_list_is_warned_of(servers: Pair) -> None:
    """By what it lacks; the worker's role may not read what is pending."""
    with postgres_role("settle_worker", servers.primary.url) as url:
        there = url.replace(str(servers.primary.port), str(servers.standby.port))
        eventually(lambda: verdicts(say(servers, there)) == (OK, OK, WARNING))
        assert "lacks SELECT ON pending_events:" in say(servers, there)["privileges"].found
        on(servers.primary.url, f'REVOKE SELECT ON events FROM "{make_url(url).username}"')
        eventually(lambda: "SELECT (payload) ON events," in say(servers, there)["privileges"].found)


def test_what_is_no_standby_of_the_database_is_warned_of(servers: Pair) -> None:
    """The primary itself, a standby's other database, and a standby that was promoted."""
    assert say(servers, servers.primary.url)["following"].verdict is WARNING
    other = f"{servers.standby.url.rpartition('/')[0]}/template1"
    assert "another server, or database" in say(servers, other)["following"].found
    servers.standby.promote()
    assert "takes writes" in say(servers)["following"].found


def test_a_standby_that_is_away_is_a_failure_with_what_is_done_instead(servers: Pair) -> None:
    """The other checks were not made."""
    servers.standby.stop()
    found = say(servers)["following"]
    assert found.verdict is Verdict.FAILURE
    assert "read from the primary" in found.fix
