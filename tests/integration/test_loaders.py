"""What PostgreSQL holds and others do not is nobody's fault, and is passed on."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest

from db import Database, Settlement
from db.loading import NewEvent, load_events
from db.migrate import migrate
from settle_client.checking import check_all
from settle_client.moments import timestamp
from settle_client.outcome import Outcome
from tasks.events import Event
from tasks.messages import Message
from tasks.settle import settle_batch
from tests.conftest import with_name

if TYPE_CHECKING:
    from tests.conftest import Urls

FAR = {
    "millis": "to_timestamp(1764108000000)",
    "inf": "'infinity'",
    "minus": "'-infinity'",
    "bc": "'0044-03-15 12:00+00 BC'",
    "before": "'0001-01-01 00:00+00'::timestamptz - interval '1 microsecond'",
    "after": "'9999-12-31 23:59:59.999999+00'::timestamptz + interval '1 microsecond'",
    "oldest": "'4714-11-24 00:00+00 BC'",
    "newest": "'294276-12-31 23:59:59.999999+00'",
}
NEAR = {
    "first": ("'0001-01-01 00:00+00'", "0001-01-01T00:00:00.000000Z"),
    "last": ("'9999-12-31 23:59:59.999999+00'", "9999-12-31T23:59:59.999999Z"),
    "plain": ("'2026-03-04 05:06:07.5+02'", "2026-03-04T03:06:07.500000Z"),
}


@pytest.fixture
def written(database_url: str) -> dict[str, str]:
    """Load an event of each time, and give the times as PostgreSQL writes them in UTC."""
    with psycopg.connect(database_url) as owner:
        near = {id_: expression for id_, (expression, _) in NEAR.items()}
        for id_, expression in (FAR | near).items():
            owner.execute(
                "INSERT INTO events (id, account_id, event_type, payload, created_at) "
                f"VALUES (%s, 'acct', 'order', '{{}}', {expression})".encode(),
                [id_],
            )
        owner.execute("SET TIME ZONE 'UTC'")
        return dict(owner.execute("SELECT id, created_at::text FROM events").fetchall())


def test_an_event_is_settled_whenever_it_was_made(
    database: Database, written: dict[str, str]
) -> None:
    """And a time that cannot be held is in its outcome as PostgreSQL writes it."""
    updates = [{"id": id_, "status": "completed"} for id_ in written]
    (outcomes,) = settle_batch([Message("m", tuple(check_all(updates)))], database)
    assert all(outcome.updated for outcome in outcomes)
    found = {outcome.id: outcome.created_at for outcome in outcomes}
    assert {id_: found[id_] for id_ in FAR} == {id_: written[id_] for id_ in FAR}
    assert {id_: found[id_] for id_ in NEAR} == {id_: text for id_, (_, text) in NEAR.items()}
    assert (found["inf"], found["bc"]) == ("infinity", "0044-03-15 12:00:00+00 BC")
    for outcome in outcomes:
        assert Outcome.from_json(outcome.to_json()).to_json() == outcome.to_json()
        assert outcome.to_dict()["createdAt"] in outcome.to_json().decode()


def test_an_event_is_shown_whenever_it_was_made(
    database: Database, written: dict[str, str]
) -> None:
    """As in its outcome."""
    for id_, row in database.read_events(list(written), with_payload=True).items():
        shown = Event.from_row(row).to_json().decode()
        expected = written[id_] if id_ in FAR else "createdAt"
        assert expected in shown


def test_an_event_that_was_settled_at_no_time_is_settled(
    database: Database, database_url: str
) -> None:
    """By somebody else, in whatever way."""
    load_events(database_url, [NewEvent("plain", "acct")])
    with psycopg.connect(database_url) as owner:
        owner.execute("UPDATE events SET failed_at = '-infinity' WHERE id = 'plain'")
    (message,) = [Message("m", tuple(check_all([{"id": "plain", "status": "completed"}])))]
    ((outcome,),) = settle_batch([message], database)
    assert (outcome.reason, outcome.failed_at) == ("already_failed", "-infinity")


def test_a_time_that_rfc_3339_has_is_written_so(database: Database, database_url: str) -> None:
    """Of times from all over PostgreSQL's range, and around the ends of what it has."""
    with psycopg.connect(database_url) as owner:
        owner.execute(
            """
            INSERT INTO events (id, account_id, event_type, payload, created_at)
            SELECT n::text, 'a', 'e', '{}', CASE n % 3
              WHEN 0 THEN to_timestamp(-210866803200 + n * 4600000000.123)
              WHEN 1 THEN to_timestamp(-62135596800 + (n - 1000) * 0.000001)
              ELSE to_timestamp(253402300800 + (n - 1000) * 0.000001) END
            FROM generate_series(1, 2000) AS n
            """
        )
        owner.execute("SET TIME ZONE 'UTC'")
        expected = {
            id_: (text, can_be_held, epoch)
            for id_, text, can_be_held, epoch in owner.execute(
                "SELECT id, created_at::text, extract(year FROM created_at) BETWEEN 1 AND 9999, "
                "extract(epoch FROM created_at) * 1000000 FROM events"
            )
        }
    rows = database.read_events(list(expected))
    epoch_of_year_1 = datetime(1, 1, 1, tzinfo=UTC)
    for id_, (text, can_be_held, microseconds) in expected.items():
        written = rows[id_].created_at
        if not can_be_held:
            assert written == text
            continue
        moment = datetime.fromisoformat(written)
        assert timestamp(moment) == written
        since = moment - epoch_of_year_1
        whole = (since.days * 86_400 + since.seconds - 62_135_596_800) * 10**6 + since.microseconds
        assert whole == int(microseconds)


def test_text_that_is_none_is_read(urls: Urls) -> None:
    """Where a database takes any bytes for text."""
    name = "settle_ascii"
    with psycopg.connect(urls.database, autocommit=True) as owner:
        owner.execute(
            f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' "
            "LC_CTYPE 'C'"
        )
        try:
            url = with_name(urls.database, name)
            migrate(url)
            with psycopg.connect(url, client_encoding="latin1") as latin:
                latin.execute("SET client_encoding = SQL_ASCII")
                latin.execute(
                    "INSERT INTO events (id, account_id, event_type, payload, created_at) "
                    """VALUES ('ev_1', E'caf\\xe9', 'order', E'{"a": "\\xe9"}', now())"""
                )
            with closing(Database(url)) as database:
                settled = database.settle_pending_events(
                    [Settlement("ev_1", "completed", None, "m→")], with_payload=True
                )
            row = settled["ev_1"]
            assert (row.account_id, row.settled_by) == ("caf\N{REPLACEMENT CHARACTER}", "m→")
        finally:
            owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
