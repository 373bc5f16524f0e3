"""`settle doctor`, as an operator types it, on servers that keep what they are given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from cli.embedded import Postgres, Redis, ServerUnavailable, temporary_folder
from db.migrate import migrate
from tests.accounts import postgres_role, redis_users
from tests.service import Service
from tests.started import or_skipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.storms


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give an installation as docs/privileges.md describes it."""
    with ExitStack() as stack:
        folder: Path = stack.enter_context(temporary_folder())
        with or_skipped(ServerUnavailable):
            postgres = stack.enter_context(Postgres(folder / "postgres", durable=True))
            broker = stack.enter_context(Redis(folder / "redis", append_only=True))
        migrate(postgres.url)
        worker_database_url = stack.enter_context(postgres_role("settle_worker", postgres.url))
        yield stack.enter_context(
            closing(
                Service(
                    *(postgres.url, broker.url, tmp_path_factory.mktemp("installed")),
                    worker_database_url=worker_database_url,
                    users=stack.enter_context(redis_users(broker.url)),
                )
            )
        )


def doctor(service: Service, *options: str, **environment: str) -> Any:
    """Run the command in a worker's environment, or one that differs from it."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "doctor", *options],
        env={
            **os.environ,
            "DATABASE_URL": service.environment["DATABASE_URL"],
            "CELERY_BROKER_URL": service.users.worker,
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def verdicts(ended: Any) -> dict[tuple[str, str], str]:
    """Return the verdict of every check."""
    return {
        (check["part"], check["check"]): check["verdict"]
        for check in json.loads(ended.stdout)["checks"]
    }


def test_a_good_installation_passes(installed: Service) -> None:
    """With what only an administrator may see, every check is fine."""
    worker = installed.start_worker()
    # Celery says that it is ready a moment before anything is fetched.
    worker.wait_for_log("worker is ready")
    ended = doctor(
        installed,
        "--json",
        CELERY_BROKER_URL=installed.redis_url,
        CELERY_RESULT_BACKEND=installed.users.worker,
    )
    assert ended.returncode == 0, ended.stdout
    assert set(verdicts(ended).values()) == {"ok"}
    assert json.loads(ended.stdout)["failures"] == 0
    (answering,) = (c for c in json.loads(ended.stdout)["checks"] if c["check"] == "answering")
    assert "1: w0@" in answering["found"]
    assert worker.stop() == 0


def test_two_workers_of_one_name_are_told_apart(installed: Service) -> None:
    """By the doctor and by `settle top`, which lists one of them."""
    workers = [installed.start_worker("-n", "twin@here") for _ in range(2)]
    found = doctor(installed)
    assert "warning  names             2 workers are named twin@here" in found.stdout
    assert "see               docs/operations.md#processes" in found.stdout
    assert not found.stderr
    top = subprocess.run(
        [sys.executable, "-m", "cli", "top", "--once"],
        env={**os.environ, "CELERY_BROKER_URL": installed.users.operator},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "2 workers are named twin@here" in top.stdout
    assert not top.stderr
    assert [worker.stop() for worker in workers] == [0, 0]


def test_settings_of_workers_are_compared(installed: Service) -> None:
    """A worker with another lease takes messages from the others."""
    worker = installed.start_worker("--pool", "solo", SETTLE_LEASE_SECONDS="5")
    ended = doctor(installed, "--json", SETTLE_LEASE_SECONDS="40")
    assert ended.returncode == 1
    assert verdicts(ended)["settings", "leases of others"] == "failure"
    assert verdicts(ended)["settings", "lease"] == "warning"
    assert worker.stop() == 0


def test_warnings_are_no_failure(installed: Service) -> None:
    """Nobody answers, and the worker's own user may not see all: the exit code is 0."""
    ended = doctor(installed)
    assert ended.returncode == 0, ended.stdout
    assert "warning  answering" in ended.stdout
    assert "unknown  persistence" in ended.stdout
    assert ended.stdout.endswith(", warning: 1, unknown: 1\n")
    assert not ended.stderr


@pytest.mark.parametrize(
    ("away", "checked"),
    [
        ({"CELERY_BROKER_URL": "redis://:hush@127.0.0.1:1/0"}, ("database", "migration")),
        ({"CELERY_BROKER_URL": "amqp://u:hush@127.0.0.1:1//"}, ("result channel", "stream")),
        ({"DATABASE_URL": "postgresql://u:hush@127.0.0.1:1/x"}, ("broker", "rights")),
    ],
    ids=["redis", "rabbitmq", "postgres"],
)
def test_the_rest_is_checked_when_something_is_away(
    installed: Service, away: dict[str, str], checked: tuple[str, str]
) -> None:
    """The exit code is 1, and no password is shown."""
    ended = doctor(installed, "--json", **{"SETTLE_OUTCOME_URL": installed.redis_url, **away})
    assert ended.returncode == 1
    assert verdicts(ended)[checked] == "ok"
    assert "failure" in verdicts(ended).values()
    assert "hush" not in ended.stdout + doctor(installed, **away).stdout


def test_a_setting_that_cannot_work_is_one_line(installed: Service) -> None:
    """There is nothing to examine then."""
    ended = doctor(installed, SETTLE_LEASE_SECONDS="soon")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: SETTLE_LEASE_SECONDS: ")
    assert ended.stderr.count("\n") == 1
