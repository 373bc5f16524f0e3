"""Whether the service can rely on what it runs on, with a verdict and a fix for each check.

Nothing is changed by looking. To add a check, write a function that takes its
part's subject and returns a finding, and put it among the `CHECKS` of its module;
its name is what it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.doctor import parts
from cli.doctor.examination import CheckResult, examine
from cli.doctor.workers import Workers, ask_workers
from service.addresses import AMQP_SCHEMES, scheme_of
from service.finding import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.settings import Settings

__all__ = ["CheckResult", "Verdict", "examine_all"]


def examine_all(settings: Settings, app: Any) -> Iterator[CheckResult]:
    """Make every check there is.

    Args:
        settings: Those in force.
        app: The Celery application, through which workers are asked.
    """
    broker = list(examine(parts.broker_part(settings)))
    yield from broker
    if scheme_of(settings.broker_url) in AMQP_SCHEMES:
        yield from examine(parts.management_part(settings))
    yield from examine(parts.result_channel_part(settings))
    if settings.result_backend:
        yield from examine(parts.result_backend_part(settings.result_backend))
    is_away = broker[0].finding.verdict is Verdict.FAILURE
    answers = Workers(not_asked="not asked: no broker") if is_away else ask_workers(app)
    sessions = sum(worker.sessions for worker in answers.ours) or app.conf.worker_concurrency
    yield from examine(parts.database_part(settings, sessions))
    if settings.read_database_url:
        yield from examine(parts.replica_part(settings.database_url, settings.read_database_url))
    if settings.gateway_keys_file:
        yield from examine(parts.gateway_part(settings.gateway_keys_file))
    if settings.webhooks_file:
        yield from examine(parts.webhooks_part(settings.webhooks_file))
    yield from examine(parts.workers_part(answers))
    yield from examine(parts.settings_part(settings, answers))
