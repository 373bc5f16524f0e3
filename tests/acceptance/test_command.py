"""The command `settle`, as a person types it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.embedded import Redis
from service.addresses import hide_password
from tests import interruptible
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.service import Service


def settle(*arguments: str, stdin: str | None = None, **environment: str) -> Any:
    """Run the command and return what it said; what it is given may be no UTF-8."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        timeout=120,
    )


def for_service(service: Service) -> dict[str, str]:
    """Return the environment of somebody who sends updates, hears outcomes and migrates."""
    return {
        "CELERY_BROKER_URL": service.users.producer,
        "SETTLE_OUTCOME_URL": service.users.consumer,
        "DATABASE_URL": service.database_url,
    }


def test_the_demo_agrees_and_uses_nobodys_servers(service: Service) -> None:
    """Plan, outcomes and table, printed as JSON; whatever the settings of a person say."""
    theirs = {**for_service(service), "SETTLE_OUTCOME_KEEP_FOR_GROUPS": "nobody", "PGHOST": "away"}
    before = service.redis.info("commandstats")
    ended = settle("demo", "--events", "800", "--json", "--seed", "3", **theirs)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["agrees"]
    assert report["expected"] == report["received"]
    assert report["settledRows"] == report["updatedEvents"] == 800
    assert set(report["received"]) == {
        *("updated", "already_completed", "already_failed", "not_found", "invalid")
    }
    assert service.redis.info("commandstats").keys() <= {*before, "cmdstat_info"}
    assert not service.redis.exists("event-outcomes", "event-status-updates")
    with service.database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM events").scalar() == 0


def test_the_demo_asks_before_it_uses_somebodys_servers(service: Service) -> None:
    """It names them, without their passwords; and it removes what it has loaded."""
    service.load("ev_1")
    mine = {"CELERY_BROKER_URL": service.redis_url, "DATABASE_URL": service.database_url}
    demo = ("demo", "--events", "400", "--on-my-servers")
    ended = settle(*demo, stdin="n\n", **mine)
    assert ended.returncode == 1
    assert "400 events" in ended.stderr
    assert mine["CELERY_BROKER_URL"] in ended.stderr
    assert not service.redis.exists("event-outcomes")

    ended = settle(*demo, "--yes", "--json", **mine)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["agrees"]
    assert service.channel.xlen("event-outcomes") > 400
    assert service.channel.xlen("event-status-updates.dead") == 0
    with service.database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id FROM events").scalars().all() == ["ev_1"]


# Of somebody who presses it again.
IMPATIENCE_SECONDS = 0.3


@pytest.mark.parametrize(
    ("number", "times"),
    [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 5), (signal.SIGTERM, 5)],
    ids=["Ctrl-C", "SIGTERM", "Ctrl-C again and again", "SIGTERM again and again"],
)
def test_a_demo_that_is_interrupted_leaves_nothing_behind(
    service: Service, number: signal.Signals, times: int
) -> None:
    """No events, no dead letters, and no messages that would be answered later."""
    service.load("ev_1")
    mine = {"CELERY_BROKER_URL": service.redis_url, "DATABASE_URL": service.database_url}
    with interruptible.start("demo", "--on-my-servers", "--yes", environment=mine) as process:
        assert process.stdout is not None
        # Some of it was sent.
        while not re.match("published [1-9]", process.stdout.readline()):
            assert process.poll() is None
        for _ in range(times):
            process.send_signal(number)
            time.sleep(IMPATIENCE_SECONDS)
        process.communicate(timeout=90)
    # The latter of a signal that came when everything was in order; to a shell they are the same.
    assert process.returncode in (128 + number, -number)
    assert service.redis.llen("event-status-updates") == 0
    assert service.redis.hlen("event-status-updates.unacked") == 0
    assert service.channel.xlen("event-status-updates.dead") == 0
    with service.database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT id FROM events").scalars().all() == ["ev_1"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"DATABASE_URL": ""}, "--on-my-servers uses those of DATABASE_URL: set it"),
        ({}, "the events could not be loaded: "),
    ],
    ids=["not named", "no table"],
)
def test_the_demo_says_what_somebodys_servers_lack(
    environment: dict[str, str], said: str, urls: Any, redis_url: str
) -> None:
    """It migrates nobody's database."""
    mine = {"CELERY_BROKER_URL": redis_url, "DATABASE_URL": urls.database, **environment}
    ended = settle("demo", "--events", "4", "--on-my-servers", "--yes", **mine)
    assert ended.returncode in (1, 2)
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_one_update_is_published_and_its_outcome_printed(service: Service) -> None:
    """With --wait, for a person or as JSON."""
    service.load("ev_1")
    service.start_worker()
    ended = settle("publish", "ev_1", "completed", "--wait", **for_service(service))
    assert (ended.returncode, ended.stdout) == (0, "ev_1  completed  updated\n")
    ended = settle("publish", "ev_1", "failed", "--wait", "--json", **for_service(service))
    assert json.loads(ended.stdout)["reason"] == "already_completed"
    assert ended.returncode == 3


def test_good_lines_are_sent_and_bad_ones_named_with_line_and_field(service: Service) -> None:
    """Exit code 2 says that the input was to blame; nothing good is lost."""
    lines = '{"id": "a", "status": "completed"}\n\nnot json\n{"id": "b", "status": "done"}\n'
    lines += '{"id": "c", "status": "failed", "payload": {}}\n'
    ended = settle("publish", "-f", "-", stdin=lines, **for_service(service))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "line 3: is not JSON: Expecting value at column 1",
        "line 4: status: must be 'completed' or 'failed', got 'done'",
        "Sent 2 updates in 1 message; not sent: 2 that are not valid",
    ]
    assert service.redis.llen("event-status-updates") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[" * 100_000, "line 2: is not JSON: it is nested too deeply"),
        ('{"id": ' * 100_000, "line 2: is not JSON: it is nested too deeply"),
        ('{"id": "\udcff", "status": "failed"}', "line 2: is not UTF-8"),
        ("\udcff", "line 2: is not UTF-8"),
    ],
    ids=["deep", "deep objects", "an id that is no UTF-8", "no UTF-8"],
)
def test_no_line_keeps_the_others_from_being_sent(service: Service, line: str, said: str) -> None:
    """Whatever it is."""
    good = [f'{{"id": "{id_}", "status": "completed"}}' for id_ in "ab"]
    lines = "\n".join((good[0], line, good[1]))
    ended = settle("publish", "-f", "-", stdin=lines, **for_service(service))
    assert ended.returncode == 2
    first, last = ended.stderr.splitlines()
    assert first.startswith(said)
    assert last == "Sent 2 updates in 1 message; not sent: 1 that are not valid"


def test_an_array_that_is_nested_too_deeply_is_named(service: Service) -> None:
    """As any that is no JSON."""
    ended = settle("publish", "-f", "-", stdin="[" * 100_000, **for_service(service))
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[0] == "the array: is not JSON: it is nested too deeply"


def test_an_array_is_sent_in_messages_of_the_size_asked_for(service: Service) -> None:
    """Elements are numbered as lines are."""
    updates = [{"id": f"ev_{number}", "status": "failed"} for number in range(5)]
    text = json.dumps([*updates, {"id": 1}])
    ended = settle(
        "publish", "-f", "-", "--updates-per-message", "2", stdin=text, **for_service(service)
    )
    assert ended.returncode == 2
    assert "element 6: id: must be a valid string" in ended.stderr
    assert service.redis.llen("event-status-updates") == 3


def test_a_broker_that_is_away_is_told_with_what_was_sent(service: Service) -> None:
    """Which is nothing here; and the exit code is 1."""
    away = {**for_service(service), "CELERY_BROKER_URL": "redis://:hush@127.0.0.1:1/0"}
    ended = settle("publish", "a", "completed", **away)
    assert ended.returncode == 1
    summary, error = ended.stderr.splitlines()
    assert summary == "Sent 0 updates in 0 messages"
    assert error.startswith("Error: the broker of CELERY_BROKER_URL: ")
    assert "hush" not in ended.stderr


@contextmanager
def publishing_a_pipe(*options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Publish what is written into a pipe, each update by itself."""
    with interruptible.start(
        *("publish", "-f", "-", "--updates-per-message", "1", *options),
        environment=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        yield process


def write_updates(process: subprocess.Popen[str], *ids: str) -> None:
    """Write a line for each."""
    assert process.stdin is not None
    for id_ in ids:
        process.stdin.write(f'{{"id": "{id_}", "status": "failed"}}\n')
    process.stdin.flush()


def test_who_interrupts_it_hears_where_to_go_on(service: Service) -> None:
    """And going on there sends the rest, and nothing twice."""
    with publishing_a_pipe(**for_service(service)) as process:
        write_updates(process, "a", "b", "c")
        eventually(lambda: service.redis.llen("event-status-updates") == 3)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read().splitlines() == [
            "Sent 3 updates in 3 messages; to go on, --start-at 4",
            "Interrupted.",
        ]
    lines = "".join(f'{{"id": "{id_}", "status": "failed"}}\n' for id_ in "abcde")
    options = ("-f", "-", "--start-at", "4", "--updates-per-message", "1")
    ended = settle("publish", *options, stdin=lines, **for_service(service))
    assert (ended.returncode, ended.stderr) == (0, "Sent 2 updates in 2 messages\n")
    assert service.redis.llen("event-status-updates") == 5


def test_who_loses_the_broker_hears_where_to_go_on(tmp_path: Path, service: Service) -> None:
    """From the first update that the broker has not confirmed."""
    with Redis(tmp_path) as broker:
        environment = {**for_service(service), "CELERY_BROKER_URL": broker.url}
        with publishing_a_pipe(**environment) as process:
            write_updates(process, "a", "b")
            with redis.Redis.from_url(broker.url) as client:
                eventually(lambda: client.llen("event-status-updates") == 2)
            broker.stop()
            write_updates(process, "c", "d")
            _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    summary, error = said.splitlines()
    assert summary == "Sent 2 updates in 2 messages; to go on, --start-at 3"
    assert error.startswith("Error: the broker of CELERY_BROKER_URL: ")


def test_who_waits_in_vain_is_told_by_the_exit_status(service: Service) -> None:
    """There is no worker."""
    options = ("--wait", "--timeout", "0.2")
    ended = settle("publish", "a", "failed", *options, **for_service(service))
    assert ended.returncode == 4
    assert "no outcome within 0.2 s for 1 of the updates" in ended.stderr


def test_outcomes_are_printed_from_the_start(service: Service) -> None:
    """And waiting goes on until it is interrupted."""
    service.load("ev_1")
    service.start_worker()
    settle("publish", "ev_1", "failed", "--wait", **for_service(service))
    listening = ("outcomes", "--from-start", "--json")
    with interruptible.start(*listening, environment=for_service(service)) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["id"] == "ev_1"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Listening to the channel event-outcomes at {where}. Ctrl-C ends it."),
        (("--from-start",), "Reading the stream event-outcomes from its start at {where}. {end}"),
        (
            ("--group", "billing", "--consumer", "one"),
            "Reading the stream event-outcomes as one of the group billing at {where}. {end}",
        ),
    ],
    ids=["channel", "stream", "group"],
)
def test_outcomes_says_where_it_listens(
    service: Service, options: tuple[str, ...], said: str
) -> None:
    """On stderr, at once and without a password: a quiet channel looks like a broken one."""
    command = [sys.executable, "-m", "cli", "outcomes", *options]
    environment = {**os.environ, **for_service(service)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.kill()
    where = hide_password(service.users.consumer)
    assert first == said.format(where=where, end="Ctrl-C ends it.") + "\n"


def test_migrate_makes_the_table(service: Service) -> None:
    """Again is fine."""
    ended = settle("migrate", **for_service(service))
    assert ended.returncode == 0
    assert re.search(r"revision \d{4} ", ended.stdout)


def test_a_database_that_is_away_is_one_line(service: Service) -> None:
    """Without a traceback and without the password."""
    away = {**for_service(service), "DATABASE_URL": "postgresql://u:hush@127.0.0.1:1/x"}
    ended = settle("migrate", **away)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: the database of DATABASE_URL: ")
    assert "hush" not in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_config_hides_secrets(service: Service) -> None:
    """Everything else is shown."""
    secret = {**for_service(service), "SETTLE_OUTCOME_URL": "redis://:hush@h:1/0"}
    ended = settle("config", "--json", **secret)
    shown = json.loads(ended.stdout)
    assert shown["SETTLE_OUTCOME_URL"] == "redis://:***@h:1/0"
    assert shown["SETTLE_BATCH_MAX_UPDATES"] == 1000
