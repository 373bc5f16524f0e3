"""Names that others rely on: changing one of them is a decision, not an accident."""

from __future__ import annotations

import inspect

import msgspec

import db
import worker.transport.redis
from cli.main import COMMANDS
from service.settings import Settings, variable
from settle_client import names
from settle_client.outcome import Outcome
from settle_client.outcomes import OutcomeClient
from tasks.events import Event
from worker.celery import app


def test_the_contracts_names() -> None:
    """Other services and dashboards use them."""
    assert names.TASK == "events.update_status"
    assert names.QUEUE == "event-status-updates"
    assert names.OUTCOMES == "event-outcomes"
    assert names.DEAD_LETTERS == "event-status-updates.dead"
    app.loader.import_default_modules()
    assert names.TASK in app.tasks
    assert app.conf.task_default_queue == names.QUEUE


def test_the_attributes_of_an_outcome() -> None:
    """In the contract's order, `payload` and `error` last."""
    assert [field.encode_name for field in msgspec.structs.fields(Outcome)] == [
        *("id", "updated", "status", "reason", "messageId"),
        *("accountId", "eventType", "createdAt", "completedAt", "failedAt", "payload", "error"),
    ]


def test_the_attributes_of_an_event() -> None:
    """In the order of the documented schema."""
    assert [field.encode_name for field in msgspec.structs.fields(Event)] == [
        *("accountId", "completedAt", "createdAt", "eventType", "failedAt", "id", "payload")
    ]


def test_what_consumers_call() -> None:
    """The client of the result channel."""
    methods = {name for name, _ in inspect.getmembers(OutcomeClient, inspect.isfunction)}
    assert {name for name in methods if not name.startswith("_")} == {
        *("subscribe", "position", "poll", "read", "wait", "follow", "close")
    }


def test_the_packages_own_names() -> None:
    """What `db` and the transport offer to the rest."""
    assert set(db.__all__) == {
        *("Database", "EventRow", "Settlement"),
        *("BadDataError", "DatabaseError", "TransientDatabaseError"),
    }
    assert set(worker.transport.redis.__all__) == {
        "Channel",
        "SentinelTransport",
        "Transport",
        "install",
    }


def test_the_commands_and_the_settings() -> None:
    """Scripts and deployments name them."""
    assert list(COMMANDS) == [
        *("demo", "migrate", "doctor", "gateway", "health", "top", "publish", "outcomes"),
        *("dead", "retention", "config", "contracts", "bench"),
    ]
    assert [variable(name) for name in Settings.model_fields] == [
        "CELERY_BROKER_URL",
        "SETTLE_SENTINEL_MASTER",
        "CELERY_RESULT_BACKEND",
        "DATABASE_URL",
        "SETTLE_OUTCOME_URL",
        "SETTLE_BATCH_MAX_UPDATES",
        "SETTLE_BATCH_MAX_WAIT_SECONDS",
        "SETTLE_MESSAGE_MAX_UPDATES",
        "SETTLE_OUTCOME_STREAM_MAX_LENGTH",
        "SETTLE_OUTCOME_PAYLOAD",
        "SETTLE_STATEMENT_TIMEOUT_SECONDS",
        "SETTLE_LOCK_TIMEOUT_SECONDS",
        "SETTLE_LEASE_SECONDS",
        "SETTLE_RETRY_MAX_WAIT_SECONDS",
        "SETTLE_DEAD_LETTER_MAX_SHARE",
        "SETTLE_TASK_EVENTS",
        "SETTLE_STOP_TIMEOUT_SECONDS",
        "SETTLE_LOG_FORMAT",
        "SETTLE_METRICS_PORT",
        "SETTLE_METRICS_HOST",
        "SETTLE_HEALTH_FILE",
        "SETTLE_GATEWAY_HOST",
        "SETTLE_GATEWAY_PORT",
        "SETTLE_GATEWAY_KEYS_FILE",
        "SETTLE_GATEWAY_BODY_MAX_BYTES",
        "SETTLE_GATEWAY_REQUESTS_PER_SECOND",
    ]
