"""The commands of docs/trouble.md, each typed in the trouble that it is meant for."""

from __future__ import annotations

import re
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from cli.embedded import temporary_folder
from settle_client.names import DEAD_LETTERS, OUTCOMES, QUEUE
from tests.faults.rig import renew
from tests.faults.test_alarm import end_alarm, raise_alarm
from tests.faults.typed import PAGE, Says, commands, follow, is_ready
from tests.gateway import Gateways
from tests.service import Service, eventually
from tests.standby import Standby
from tests.webhooks import Receiver, Reply, Webhooks, accept, endpoint, has_group, publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.rig import Servers
    from tests.rabbitmq import RabbitMQ

pytestmark = pytest.mark.storms
ALERTS = (Path(__file__).parents[2] / "deploy/prometheus/alerts.yml").read_text("utf-8")
REFUSAL = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$BEGIN RAISE 'the period is closed'; END$$;
CREATE TRIGGER refuse BEFORE UPDATE ON events FOR EACH ROW WHEN (OLD.id = 'ev_0')
    EXECUTE FUNCTION refuse();
"""


@pytest.fixture
def service(breakable: Servers, tmp_path: Path) -> Iterator[Service]:
    """Give a service whose servers may be broken, without a worker yet."""
    renew(breakable)
    postgres, broker, _ = breakable
    with closing(Service(postgres.url, broker.url, tmp_path)) as service:
        yield service
        service.redis.config_set("maxmemory", 0)


def send(service: Service, count: int, status: str = "completed") -> dict[str, list[str]]:
    """Send an update of each of so many events."""
    ids = [f"ev_{number}" for number in range(count)]
    return {
        service.send(kwargs={"id": id_, "status": status}, ignore_result=True).id: [id_]
        for id_ in ids
    }


def newest_letter(service: Service) -> str:
    """Return the id of the newest dead letter."""
    ((id_, _),) = service.channel.xrevrange(DEAD_LETTERS, count=1)
    return str(id_)


def test_every_part_is_followed() -> None:
    """By the test of its name: a command that nobody types would be nobody's promise."""
    parts = [re.sub(r"\W+", "_", part).lower() for part in commands()]
    assert len(parts) > 5
    assert [part for part in parts if f"test_{part}" not in globals()] == []


def test_every_alert_leads_to_a_part() -> None:
    """By the table at the beginning of the page."""
    index = PAGE.partition("\n## ")[0]
    assert re.findall(r"- alert: (\w+)", ALERTS)
    assert set(re.findall(r"- alert: (\w+)", ALERTS)) == set(re.findall(r"`(Settle\w+)`", index))


def test_the_queue_grows(service: Service) -> None:
    """Somebody holds the rows that batches want."""
    service.load(*(f"ev_{number}" for number in range(100)))
    patience = {"SETTLE_LOCK_TIMEOUT_SECONDS": "600", "SETTLE_STATEMENT_TIMEOUT_SECONDS": "600"}
    service.start_worker("--concurrency=1", **patience)
    with suppress(psycopg.OperationalError), psycopg.connect(service.database_url) as other:
        other.execute("SELECT FROM events FOR UPDATE")
        send(service, 100)
        eventually(lambda: bool(service.waiting_for_rows()))
        follow(
            service,
            "The queue grows",
            Says("1 of 1 slots taken"),
            Says("SELECT FROM events FOR UPDATE"),
            Says("t"),
            Says("pool will grow"),
            service.wait_until_empty,
            Says("0 messages waiting"),
            PID=str(other.info.backend_pid),
        )


def test_no_outcomes_come(service: Service) -> None:
    """The table is not there."""
    with psycopg.connect(service.database_url) as owner:
        owner.execute("DROP TABLE events, pending_events, alembic_version")
        owner.execute("DROP FUNCTION follow_pending_events")
    service.start_worker()
    follow(
        service,
        "No outcomes come",
        Says("1 node online"),
        Says("not ready: the database cannot be used: there is no events table", 1),
        Says("settle migrate", 1),
        Says(""),
        Says("not_found", None),
    )


def test_a_worker_waits(service: Service, breakable: Servers) -> None:
    """PostgreSQL is away, and comes back."""
    service.load("ev_1")
    worker = service.start_worker()
    service.wait(send(service, 1))
    eventually(lambda: is_ready(service))
    breakable[0].stop()
    send(service, 2)
    worker.wait_for_log("batches are held")
    eventually(lambda: not is_ready(service))
    follow(
        service,
        "A worker waits",
        Says("not ready", 1),
        Says("failure", 1),
        breakable[0].start,
        lambda: worker.wait_for_log("batches are settled again"),
        lambda: eventually(lambda: is_ready(service)),
        Says("ready: "),
    )


def test_the_breaker_has_tripped(service: Service) -> None:
    """By a sender that says what is no status."""
    worker = service.start_worker()
    send(service, 200, "done")
    worker.wait_for_log("nothing is consumed any more")
    eventually(lambda: service.channel.xlen(DEAD_LETTERS) > 0)
    follow(
        service,
        "The breaker has tripped",
        Says("status: must"),
        Says('"status": "done"'),
        Says("add consumer"),
        service.wait_until_empty,
        Says("0 messages waiting"),
        ID=newest_letter(service),
    )


def test_there_are_dead_letters(service: Service) -> None:
    """One is valid by now, and one will never be."""
    service.load("ev_0", "ev_1")
    with psycopg.connect(service.database_url) as owner:
        owner.execute(REFUSAL)
    sent = send(service, 2)
    service.start_worker()
    try:
        service.wait(sent)
    finally:
        with psycopg.connect(service.database_url) as owner:
            owner.execute("DROP FUNCTION refuse CASCADE")
    service.wait(send(service, 1, "done"))
    eventually(lambda: service.channel.xlen(DEAD_LETTERS) == 2)
    follow(
        service,
        "There are dead letters",
        Says("closed"),
        Says("status: must be"),
        Says("would", 2),
        Says("sent again as message"),
        Says("Dropped 1"),
        Says("There are no dead letters"),
        ID=newest_letter(service),
    )
    eventually(lambda: service.database.read_events(["ev_0"])["ev_0"].status == "completed")


def test_a_consumer_is_behind(service: Service) -> None:
    """Its group has not read for longer than the stream goes back."""
    events = [f"ev_{number}" for number in range(1_000)]
    service.load(*events)
    service.channel.xgroup_create(OUTCOMES, "billing", "0", mkstream=True)
    service.start_worker(SETTLE_OUTCOME_STREAM_MAX_LENGTH="100")
    send(service, 1_000)
    service.wait_until_empty()
    follow(
        service,
        "A consumer is behind",
        Says("billing", 1),
        Says("billing"),
        Says(""),
        Says("ev_"),
        Says("1"),
        Says("none yet", None),
    )


def test_redis_is_full(service: Service) -> None:
    """By outcomes that nobody has removed."""
    service.load(*(f"ev_{number}" for number in range(100)))
    service.start_worker()
    service.wait(send(service, 100))
    service.redis.config_set("maxmemory", 1_000_000)
    follow(
        service,
        "Redis is full",
        Says("memory", 1),
        Says("maxmemory:1000000"),
        Says("0"),
        Says("100"),
        Says("0"),
        Says("outcomes: would remove 0"),
        Says("outcomes: removed 0"),
        Says("OK"),
        Says("of 4,096 MiB used"),
    )


def test_rabbitmq_has_an_alarm(breakable: Servers, rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    """It is short of memory."""
    renew(breakable)
    postgres, _, outcomes = breakable
    made = Service(
        postgres.url, outcomes.url, tmp_path, outcome_url=outcomes.url, rabbitmq=rabbitmq
    )
    with closing(made) as service:
        service.start_worker("-E")
        raise_alarm(rabbitmq, "memory")
        try:
            follow(
                service,
                "RabbitMQ has an alarm",
                Says("Memory alarm"),
                Says(QUEUE),
                Says("alarm", 1),
                Says(""),
                Says(""),
                Says("no alarms"),
            )
        finally:
            end_alarm(rabbitmq)


def test_a_worker_is_stuck_or_dies(service: Service) -> None:
    """It has been killed, and another takes its place."""
    service.start_worker().kill()
    service.start_worker()
    follow(service, "A worker is stuck, or dies", Says("live: "))


def test_the_replica_is_not_read(service: Service, breakable: Servers) -> None:
    """Somebody has paused its replay."""
    service.load("ev_1")
    with (
        temporary_folder() as folder,
        Standby(folder / "standby", breakable[0]) as standby,
        closing(Gateways(service)) as gateways,
    ):
        read = {"SETTLE_READ_DATABASE_URL": standby.url}
        gateway = gateways.start(SETTLE_READ_MAX_LAG_SECONDS="5", **read)
        service.start_worker()
        eventually(lambda: is_ready(service))
        with psycopg.connect(standby.url, autocommit=True) as owner:
            owner.execute("SELECT pg_wal_replay_pause()")
        service.wait(send(service, 1))
        gateway.wait_for_log("lists are read from the primary")
        follow(
            service,
            "The replica is not read",
            Says("warning  lag"),
            Says("paused"),
            Says("streaming"),
            Says("(0 rows)"),
            Says(""),
            lambda: gateway.wait_for_log("lists are read from the replica again"),
            Says("ok       lag"),
            **read,
        )


def test_endpoints_do_not_get_outcomes(service: Service, tmp_path: Path) -> None:
    """One was gone for longer than there is room, and is back."""
    with Receiver(lambda _: Reply(410)) as receiver:
        one = endpoint("billing", receiver.url())
        room = {"SETTLE_WEBHOOKS_QUEUE_MAX_LENGTH": "2"}
        with closing(Webhooks(tmp_path, service.redis_url, one, **room)) as webhooks:
            webhooks.start()
            eventually(lambda: has_group(service.channel))
            publish(service.channel, ["ev_1", "ev_2", "ev_3"])
            eventually(lambda: webhooks.standing("billing")["state"] == "disabled")
            eventually(lambda: webhooks.standing("billing")["kept"] == 1)
            receiver.answer = accept
            follow(
                service,
                "Endpoints do not get outcomes",
                Says("billing: disabled"),
                Says('"reason": "overflow"'),
                Says("is tried again"),
                lambda: eventually(lambda: len(receiver.ids()) == 2),
                Says("1 outcomes are sent"),
                lambda: eventually(lambda: receiver.ids() == ["ev_2", "ev_3", "ev_1"]),
                Says("0 outcomes are forgotten"),
                Says("billing: delivering, 3 delivered, 0 waiting"),
                SETTLE_WEBHOOKS_FILE=str(webhooks.file),
            )
