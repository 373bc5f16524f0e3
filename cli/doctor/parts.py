"""The parts that there are, for given settings."""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cli.doctor import (
    consistency,
    gateway,
    management,
    replica,
    result_backend,
    result_channel,
    webhooks,
    workers,
)
from cli.doctor.examination import Part
from service import database_checks, reaching, redis_checks
from service.addresses import hide_password, is_cluster, uses_sentinels
from worker.transport.broker import broker_of

if TYPE_CHECKING:
    from service.settings import Settings


def _fix(variable: str, url: str) -> str:
    behind = " or a SETTLE_SENTINEL_ setting" if uses_sentinels(url) else ""
    return f"start it, or correct {variable}{behind}"


def broker_part(settings: Settings) -> Part:
    """Examine the broker, with the queue in it."""
    broker = broker_of(settings.broker_url)
    return Part(
        "broker",
        hide_password(settings.broker_url),
        _fix("CELERY_BROKER_URL", settings.broker_url),
        partial(broker.reach, settings),
        broker.checks,
        kind=broker.name,
    )


def management_part(settings: Settings) -> Part:
    """Examine what only RabbitMQ's management plugin shows of the broker."""
    url = settings.rabbitmq_management_url
    return Part(
        "management",
        hide_password(url) if url else "SETTLE_RABBITMQ_MANAGEMENT_URL is not set",
        "",
        partial(management.look, settings),
        management.CHECKS,
    )


def result_channel_part(settings: Settings) -> Part:
    """Examine the result channel, with its server if that is not the broker."""
    url = settings.result_channel_url
    is_broker = settings.channel_is_on_broker
    variable = "CELERY_BROKER_URL" if is_broker else "SETTLE_OUTCOME_URL"
    reach = partial(
        reaching.reach_redis,
        url,
        stream_max_length=settings.outcome_stream_max_length,
        groups_kept_for=settings.groups_kept_for,
        min_replicas=settings.outcome_min_replicas,
    )
    # On a cluster the outcomes may be on another node.
    is_examined = is_broker and not is_cluster(url)
    checks = (*(() if is_examined else redis_checks.CHECKS), *result_channel.CHECKS)
    address = "on the broker" if is_broker else hide_password(url)
    return Part("result channel", address, _fix(variable, url), reach, checks)


def result_backend_part(url: str) -> Part:
    """Examine Celery's result backend."""
    return Part(
        "result backend",
        hide_password(url),
        "start it, or correct CELERY_RESULT_BACKEND",
        partial(result_backend.reach_backend, url),
        result_backend.CHECKS,
    )


def database_part(settings: Settings, sessions: int) -> Part:
    """Examine the database.

    Args:
        settings: Those in force.
        sessions: How many the workers want between them.
    """
    url = settings.database_url
    return Part(
        "database",
        hide_password(url),
        database_checks.START,
        partial(database_checks.reach_database, url, sessions_wanted=sessions),
        database_checks.CHECKS,
    )


def replica_part(database_url: str, url: str) -> Part:
    """Examine the replica that lists are read from."""
    return Part(
        "replica",
        hide_password(url),
        "start it, or correct SETTLE_READ_DATABASE_URL: lists are read from the primary",
        partial(replica.reach_replica, database_url, url),
        replica.CHECKS,
    )


def gateway_part(keys_file: str) -> Part:
    """Examine the keys of the gateway."""
    return Part("gateway", keys_file, "", lambda: nullcontext(Path(keys_file)), gateway.CHECKS)


def webhooks_part(endpoints_file: str) -> Part:
    """Examine the endpoints that outcomes are pushed to."""
    path = Path(endpoints_file)
    return Part("webhooks", endpoints_file, "", lambda: nullcontext(path), webhooks.CHECKS)


def workers_part(answers: workers.Workers) -> Part:
    """Examine what the workers answered."""
    return Part("workers", "as they answer", "", lambda: nullcontext(answers), workers.CHECKS)


def settings_part(settings: Settings, answers: workers.Workers) -> Part:
    """Examine the settings, taken together."""
    subject = consistency.Setup(settings, answers, tuple(os.environ))
    return Part("settings", "taken together", "", lambda: nullcontext(subject), consistency.CHECKS)
