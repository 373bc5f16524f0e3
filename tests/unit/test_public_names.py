"""Names that others rely on: changing one of them is a decision, not an accident."""

from __future__ import annotations

import inspect

import msgspec
import pytest

import db
import settle_client
import worker.transport.redis
from cli.main import COMMANDS
from service.settings import Settings, variable
from settle_client import names
from settle_client.outcome import Outcome
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
        *("id", "updated", "status", "reason", "messageId", "index"),
        *("accountId", "eventType", "createdAt", "completedAt", "failedAt", "payload", "error"),
    ]


def test_the_attributes_of_an_event() -> None:
    """In the order of the documented schema."""
    assert [field.encode_name for field in msgspec.structs.fields(Event)] == [
        *("accountId", "completedAt", "createdAt", "eventType", "failedAt", "id", "payload")
    ]


READING = {"subscribe", "position", "poll", "read", "wait", "follow", "close"}
SENDING = {"send", "send_together", "flush", "close"}
OVER_HTTP = {
    *("get_event", "list_events", "list_page", "create_events", "settle", "settle_together"),
    *("settle_later", "wait", "position", "poll", "listen", "close"),
}


@pytest.mark.parametrize(
    ("kind", "methods"),
    [
        pytest.param(settle_client.OutcomeClient, READING, id="read"),
        pytest.param(settle_client.AsyncOutcomeClient, READING, id="read-asyncio"),
        pytest.param(settle_client.Producer, SENDING, id="send"),
        pytest.param(settle_client.AsyncProducer, SENDING, id="send-asyncio"),
        pytest.param(settle_client.ShardedProducer, SENDING, id="send-sharded"),
        pytest.param(settle_client.AsyncShardedProducer, SENDING, id="send-sharded-asyncio"),
        pytest.param(settle_client.HttpClient, OVER_HTTP, id="http"),
        pytest.param(settle_client.AsyncHttpClient, OVER_HTTP, id="http-asyncio"),
    ],
)
def test_what_users_of_the_client_call(kind: type, methods: set[str]) -> None:
    """Both faces have the same methods."""
    there = {name for name, _ in inspect.getmembers(kind, inspect.isfunction)}
    assert {name for name in there if not name.startswith("_")} == methods


@pytest.mark.parametrize(
    "kinds",
    [
        (settle_client.OutcomeClient, settle_client.AsyncOutcomeClient),
        (settle_client.Producer, settle_client.AsyncProducer),
        (settle_client.ShardedProducer, settle_client.AsyncShardedProducer),
        (settle_client.HttpClient, settle_client.AsyncHttpClient),
    ],
    ids=["read", "send", "send-sharded", "http"],
)
def test_both_faces_are_called_alike(kinds: tuple[type, type]) -> None:
    """With the same parameters, which have the same defaults."""
    sync, asyncio = (
        {
            name: list(inspect.signature(function).parameters.values())
            for name, function in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        }
        for kind in kinds
    )
    assert sync == asyncio


def test_what_the_client_offers() -> None:
    """Each name is there, though it is imported only when it is asked for."""
    assert set(settle_client.__all__) == {
        *("Producer", "AsyncProducer", "ShardedProducer", "AsyncShardedProducer"),
        *("OutcomeClient", "AsyncOutcomeClient"),
        *("HttpClient", "AsyncHttpClient", "EventPage", "OutcomePage"),
        *("StatusUpdate", "Outcome", "UnreadOutcome", "Event", "CreatedEvent", "Problem"),
        *("TASK", "QUEUE", "OUTCOMES", "DEAD_LETTERS", "SENT_AT"),
        *("SettleError", "AddressError", "BelongsElsewhereError", "InvalidUpdateError"),
        *(
            "NotSentError",
            "NotSentToShardsError",
            "GatewayError",
            "RefusedError",
            "NotFoundError",
            "ConflictError",
        ),
        *("GoneError", "NotAnsweredError", "UnreadAnswerError"),
    }
    for name in settle_client.__all__:
        assert getattr(settle_client, name)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        settle_client.Nothing  # noqa: B018 - asking is the test


def test_the_packages_own_names() -> None:
    """What `db` and the transport offer to the rest."""
    assert set(db.__all__) == {
        *("Database", "EventRow", "Rows", "Settlement"),
        *("BadDataError", "DatabaseError", "NotAllowedError", "TransientDatabaseError"),
        *("Created", "Creation"),
    }
    assert set(worker.transport.redis.__all__) == {
        "Channel",
        "ClusterTransport",
        "SentinelTransport",
        "Transport",
        "install",
    }


def test_the_commands_and_the_settings() -> None:
    """Scripts and deployments name them."""
    assert list(COMMANDS) == [
        *("demo", "init", "migrate", "doctor", "gateway", "webhooks", "health", "top", "page"),
        *("events", "publish", "outcomes", "dead", "retention", "config", "contracts", "bench"),
    ]
    assert [variable(name) for name in Settings.model_fields] == [
        "CELERY_BROKER_URL",
        "SETTLE_SENTINEL_MASTER",
        "SETTLE_SENTINEL_USERNAME",
        "SETTLE_SENTINEL_PASSWORD",
        "SETTLE_RABBITMQ_MANAGEMENT_URL",
        "CELERY_RESULT_BACKEND",
        "SETTLE_RESULT_RETRY_SECONDS",
        "DATABASE_URL",
        "SETTLE_READ_DATABASE_URL",
        "SETTLE_READ_MAX_LAG_SECONDS",
        "SETTLE_OUTCOME_URL",
        "SETTLE_BATCH_MAX_UPDATES",
        "SETTLE_BATCH_MAX_WAIT_SECONDS",
        "SETTLE_MESSAGE_MAX_UPDATES",
        "SETTLE_OUTCOME_STREAM_MAX_LENGTH",
        "SETTLE_OUTCOME_KEEP_FOR_GROUPS",
        "SETTLE_OUTCOME_MIN_REPLICAS",
        "SETTLE_BROKER_MIN_REPLICAS",
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
        "SETTLE_GATEWAY_UPDATES_PER_SECOND",
        "SETTLE_WEBHOOKS_FILE",
        "SETTLE_WEBHOOKS_ALLOWED_NETWORKS",
        "SETTLE_WEBHOOKS_TIMEOUT_SECONDS",
        "SETTLE_WEBHOOKS_RETRY_MAX_WAIT_SECONDS",
        "SETTLE_WEBHOOKS_DISABLE_AFTER_DAYS",
        "SETTLE_WEBHOOKS_QUEUE_MAX_LENGTH",
        "SETTLE_WEBHOOKS_MAX_REQUESTS",
        "SETTLE_PAGE_HOST",
        "SETTLE_PAGE_PORT",
        "SETTLE_PAGE_KEY",
    ]
