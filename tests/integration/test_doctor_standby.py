"""What is said of a standby: whether commits wait for one, and whether it is there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from cli.doctor.examination import examine
from cli.doctor.parts import database_part
from db import Database, Settlement
from db.loading import NewEvent, load_events
from service.finding import Finding, Verdict
from service.fitness import Fitness
from service.settings import Settings
from tests.accounts import postgres_role
from tests.service import eventually
from tests.standby import WAITING, Pair, alter, follow_synchronously, pair, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.embedded import Postgres

FOLLOWERS = "SELECT count(*) FROM pg_stat_replication"


@pytest.fixture
def servers() -> Iterator[Pair]:
    """Give a primary, and a standby that it does not wait for."""
    with pair() as servers:
        wait_for(servers.primary, FOLLOWERS, 1)
        yield servers


def say(url: str, check: str) -> Finding:
    """Return what the doctor says."""
    settings = Settings.model_construct(**{**Settings().model_dump(), "database_url": url})
    return next(
        result.finding for result in examine(database_part(settings, 1)) if result.check == check
    )


def test_a_standby_that_nobody_waits_for_is_warned_of(servers: Pair) -> None:
    """Nothing follows at all, or a standby that may take over without what came last."""
    url = servers.primary.url
    found = say(url, "standby")
    assert (found.verdict, "a failover may undo" in found.found) == (Verdict.WARNING, True)
    servers.standby.stop()
    eventually(lambda: say(url, "standby").found == "none follows, and commits wait for none")


def test_a_standby_that_is_waited_for_is_good(servers: Pair) -> None:
    """As far as the role may see it; a role whose commits do not wait is none."""
    url = servers.primary.url
    follow_synchronously(servers.primary)
    assert say(url, "standby") == Finding(Verdict.OK, "commits wait for 1 of 1 that follow")
    with postgres_role("settle_worker", url) as role_url:
        found = say(role_url, "standby")
    assert found == Finding(Verdict.OK, "commits wait for 1, which of them is hidden")
    hasty = f"{url}?options=-c%20synchronous_commit%3Dlocal"
    assert say(hasty, "standby").verdict is Verdict.WARNING


def test_a_standby_that_is_waited_for_and_not_there_is_a_failure(servers: Pair) -> None:
    """Nothing can be committed."""
    url = servers.primary.url
    alter(servers.primary, "SET synchronous_standby_names = 'another'")
    eventually(lambda: say(url, "standby").verdict is Verdict.FAILURE)
    alter(servers.primary, "SET synchronous_standby_names = '*'")
    eventually(lambda: say(url, "standby").verdict is Verdict.OK)
    servers.standby.stop()
    eventually(lambda: say(url, "standby").verdict is Verdict.FAILURE)


@pytest.mark.parametrize("names", ["ANY 2 (*)", "first 2 (a, *)", "2(*)"])
def test_fewer_standbys_than_are_waited_for_are_a_failure(servers: Pair, names: str) -> None:
    """One is there, and commits wait for two; a role that sees less sees that too."""
    url = servers.primary.url
    with postgres_role("settle_worker", url) as role_url:
        alter(servers.primary, f"SET synchronous_standby_names = '{names}'")
        wait_for(servers.primary, "SHOW synchronous_standby_names", names)
        found = [say(each, "standby") for each in (url, role_url)]
        alter(servers.primary, "RESET synchronous_standby_names")
        wait_for(servers.primary, "SHOW synchronous_standby_names", "")
    assert {finding.verdict for finding in found} == {Verdict.FAILURE}
    assert {finding.found for finding in found} == {"commits wait for 2 standbys, and have 1"}


def test_who_only_reads_changes_is_no_standby(servers: Pair) -> None:
    """Logical decoding takes nothing over, though commits may wait for it."""
    url = servers.primary.url
    alter(servers.primary, "SET wal_level = logical")
    servers.standby.stop()
    servers.primary.stop()
    servers.primary.start()
    with changes_read(servers.primary):
        assert say(url, "standby").found == "none follows, and commits wait for none"
        alter(servers.primary, "SET synchronous_standby_names = '*'")
        eventually(lambda: say(url, "standby").verdict is Verdict.FAILURE)


@contextmanager
def changes_read(primary: Postgres) -> Iterator[None]:
    """Let a client follow what is changed, as a change data capture does."""
    options = "-c synchronous_commit=local"
    with psycopg.connect(primary.url, options=options, autocommit=True) as owner:
        owner.execute("CREATE PUBLICATION all_events FOR TABLE events")
        owner.execute("SELECT pg_create_logical_replication_slot('changes', 'pgoutput')")
    target = psycopg.conninfo.make_conninfo(primary.url, replication="database")
    reader = psycopg.pq.PGconn.connect(target.encode())
    reader.send_query(
        b"START_REPLICATION SLOT changes LOGICAL 0/0 "
        b"(proto_version '1', publication_names 'all_events')"
    )
    wait_for(primary, FOLLOWERS, 1)
    try:
        yield
    finally:
        reader.finish()


def test_commits_that_wait_are_in_the_way(servers: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by the documented role, at the first look and later, and so is its end."""
    monkeypatch.setattr("db.facts.COMMIT_MAY_WAIT_SECONDS", 0.0)
    load_events(servers.primary.url, [NewEvent("ev_1", "a")])
    follow_synchronously(servers.primary)
    with (
        postgres_role("settle_worker", servers.primary.url) as url,
        closing(Database(url)) as database,
        ThreadPoolExecutor() as threads,
    ):
        known = Fitness(database, url)
        assert known.look() is None
        servers.standby.stop(immediate=True)
        settlement = Settlement("ev_1", "completed", None, "m")
        settling = threads.submit(database.settle_pending_events, [settlement])
        wait_for(servers.primary, WAITING, 1)
        for fitness in (known, Fitness(database, url)):
            obstacle = fitness.look()
            assert obstacle is not None
            assert obstacle.found.startswith("1 wait for a synchronous standby")
            assert "synchronous_standby_names" in obstacle.fix
        servers.standby.start()
        settling.result()
        assert known.look() is None
