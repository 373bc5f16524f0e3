"""How servers are asked, and what is made of it when one does not answer."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import redis

from service.backlog import Kept
from service.finding import ok, warning
from service.lines import fields_of
from service.settings import Settings
from settle_client.standing import Standing
from worker.telling import metrics
from worker.telling.vitals import Vitals
from worker.transport.redis.broker import _age_seconds
from worker.watching.sampling import Sampler, _together

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server:
    """A server whose connections may be cut."""

    def __init__(self) -> None:
        self.connections = 0
        self.up = True

    @contextmanager
    def reach(self) -> Iterator[dict[str, bool]]:
        """Connect."""
        if not self.up:
            raise ConnectionError("refused")
        self.connections += 1
        self.last = {"cut": False}
        yield self.last


def ask(connection: Any) -> str:
    """Ask something."""
    if connection["cut"]:
        raise ConnectionError("cut")
    return "an answer"


def test_a_connection_is_kept_and_made_anew_when_it_was_cut() -> None:
    """One that was idle for too long is no server that does not answer."""
    server = Server()
    kept = Kept(server.reach)
    assert [kept.ask(ask), kept.ask(ask)] == ["an answer"] * 2
    assert server.connections == 1
    server.last["cut"] = True
    assert kept.ask(ask) == "an answer"
    assert server.connections == 2
    server.last["cut"], server.up = True, False
    with pytest.raises(ConnectionError, match="refused"):
        kept.ask(ask)
    server.up = True
    assert kept.ask(ask) == "an answer"


def test_a_server_is_asked_once_unless_its_connection_died() -> None:
    """A question may be costly; one that is refused is not put again either."""
    server = Server()
    kept = Kept(server.reach)
    asked: list[Any] = []

    def note(connection: Any) -> str:
        asked.append(connection)
        return ask(connection)

    assert [kept.ask(note), kept.ask(note)] == ["an answer"] * 2
    assert asked == [server.last, server.last]
    kept.close()
    assert kept.ask(note) == "an answer"
    assert (len(asked), server.connections) == (3, 2)

    def refused(connection: Any) -> None:
        asked.append(connection)
        raise redis.ResponseError("no")

    with pytest.raises(redis.ResponseError):
        kept.ask(refused)
    assert (len(asked), server.connections) == (4, 2)


def test_a_server_that_denies_something_answers() -> None:
    """A right that is missing must not look like an outage."""
    sampler = Sampler(Settings(), vitals := Vitals())

    def deny(_: Any) -> None:
        raise redis.exceptions.NoPermissionError("no permissions to run 'lindex'")

    assert sampler._ask("broker", Kept(Server().reach), deny) is None
    assert "broker" not in vitals.away


def test_servers_that_are_away_are_shown_and_their_numbers_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A queue that nobody can see is not an empty one; and how to mend it, in one line."""
    away = "redis://127.0.0.1:1/0"
    settings = Settings(
        CELERY_BROKER_URL=away,
        DATABASE_URL="postgresql://127.0.0.1:1/settle",
    )
    sampler = Sampler(settings, vitals := Vitals())
    metrics.QUEUE_MESSAGES.set(7)
    for now in (0.0, 5.0, 10.0):
        sampler.sample(now)
    sampler.close()
    assert all("refused" in failure for failure in vitals.away.values())
    assert {server: failure.partition("; ")[2] for server, failure in vitals.away.items()} == {
        "database": "start it, or correct DATABASE_URL",
        "result_channel": "start it, or correct CELERY_BROKER_URL",
        "broker": "start it, or correct CELERY_BROKER_URL",
    }
    (line,) = [record for record in caplog.records if record.msg == "database cannot be used"]
    assert line.__dict__["fix"] == "start it, or correct DATABASE_URL"
    assert math.isnan(metrics.QUEUE_MESSAGES._value.get())


def test_the_oldest_of_all_priorities_counts() -> None:
    """Nothing waiting is no age; an unknown one is none either."""
    now = time.time()
    old, young = (b'{"headers": {"sent_at": %f}}' % (now - age) for age in (100, 1))
    assert _age_seconds([]) == 0
    assert _age_seconds([young, old, b"{}"]) == pytest.approx(100, abs=5)
    assert math.isnan(_age_seconds([b"{}", b'{"headers": {}}']))


@pytest.mark.parametrize(
    ("standings", "unread", "gone"),
    [
        ({}, 0, 0),
        ({"a": Standing(5, 0), "b": Standing(7, 2), "c": Standing(1, 3)}, 7, 5),
        ({"a": Standing(5, None), "b": Standing(7, 2)}, 7, math.nan),
        ({"a": Standing(None, 0)}, math.nan, 0),
        (None, math.nan, math.nan),
    ],
    ids=["no groups", "all known", "not counted", "no lag", "no answer"],
)
def test_groups_are_measured_together(
    standings: dict[str, Standing] | None, unread: float, gone: float
) -> None:
    """The one furthest behind, and what all of them have lost."""
    assert _together(standings) == pytest.approx((unread, gone), nan_ok=True)


def test_a_result_channel_of_its_own_is_missed_and_found_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also while no batch needs it; at one level, so that who reads the one reads the other."""
    caplog.set_level("INFO")
    settings = Settings(
        CELERY_BROKER_URL="redis://127.0.0.1:1/0", outcome_url="redis://u:hush@127.0.0.1:2/0"
    )
    sampler, server = Sampler(settings, Vitals()), Server()
    sampler._channel, server.up = Kept(server.reach), False
    for now in (0.0, 5.0):
        sampler._ask("result_channel", sampler._channel, ask)
        sampler._say_of_channel(now)
    server.up = True
    sampler._ask("result_channel", sampler._channel, ask)
    sampler._say_of_channel(10.0)
    sampler.close()
    assert [(r.levelname, r.getMessage(), fields_of(r)) for r in caplog.records] == [
        (
            "WARNING",
            "result channel is away",
            {"error": "refused", "fix": "start it, or correct SETTLE_OUTCOME_URL"},
        ),
        ("WARNING", "result channel is back", {"seconds": 10.0}),
    ]


def test_what_could_be_better_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the fix; a worker goes on, and does not repeat itself."""
    sampler = Sampler(Settings(), vitals := Vitals())
    found = (ok("PostgreSQL 15.3"), warning("owner has more than it needs", "use another role"))
    sampler._fitness = SimpleNamespace(  # type: ignore[assignment]
        look=lambda: None, found="PostgreSQL 15.3; owner has more than it needs", remarks=found[1:]
    )
    for now in (0.0, 5.0):
        sampler._look_at_database(now)
    assert vitals.database == "PostgreSQL 15.3; owner has more than it needs"
    (line,) = caplog.records
    assert (line.levelname, line.getMessage()) == ("WARNING", "database could be better")
    assert fields_of(line) == {"found": "owner has more than it needs", "fix": "use another role"}
