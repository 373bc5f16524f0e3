"""The process: routes, delivers and is watched, until it is asked to stop."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from typing import TYPE_CHECKING, Any

from service.channel import Channel
from service.exposition import Exposition
from service.settings import SettingsError
from service.watchdog import GRACE_SECONDS, end_after
from settle_client.redis_server import open_reader
from webhooks.delivering import Delivery
from webhooks.destinations import Guard, networks_of
from webhooks.judging import Limits
from webhooks.metrics import CATALOGUE
from webhooks.posting import Poster
from webhooks.queues import Queues
from webhooks.routing import Router
from webhooks.sampling import Pulse, sample

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from service.settings import Settings
    from webhooks.endpoints import Endpoints

logger = logging.getLogger(__name__)


def run(settings: Settings, endpoints: Endpoints) -> None:
    """Push outcomes until asked to stop: by SIGTERM or SIGINT.

    Raises:
        SettingsError: The port of the metrics cannot be listened on.
    """
    pulse = Pulse()
    exposition = _exposed(settings, pulse) if settings.metrics_port else None
    if exposition is not None:
        exposition.start()
    try:
        asyncio.run(_push(settings, endpoints, pulse))
    finally:
        if exposition is not None:
            exposition.stop()


def _exposed(settings: Settings, pulse: Pulse) -> Exposition:
    host, port = settings.metrics_host, settings.metrics_port
    try:
        return Exposition(host, port, CATALOGUE.registry, {"/livez": pulse.judge})
    except OSError as error:
        raise SettingsError(
            f"SETTLE_METRICS_PORT: cannot listen on port {port} of {host}: "
            f"{error.strerror or error}"
        ) from error


async def _push(settings: Settings, endpoints: Endpoints, pulse: Pulse) -> None:
    lease, slots = secrets.token_hex(8), settings.webhooks_max_requests
    channel = Channel(open_reader(settings.result_channel_url, asynchronous=True))
    timeout, most = settings.webhooks_timeout_seconds, settings.webhooks_queue_max_length
    guard = Guard(networks_of(settings.webhooks_allowed_networks), lookups=slots)
    poster = Poster(guard, connections=slots, timeout_seconds=timeout)
    limits = Limits(settings.webhooks_retry_max_wait_seconds, settings.webhooks_disable_after_days)
    queues = Queues(channel, lease, request_seconds=timeout, most=most)
    delivery = Delivery(endpoints, queues, poster, limits, slots=slots)
    router = Router(channel, endpoints, lease, most, delivery.wake)
    try:
        await _until_told(router.run(), delivery.run(), sample(channel, endpoints, pulse))
        end_after(settings.stop_timeout_seconds + GRACE_SECONDS, "webhooks did not stop", logger)
        await delivery.finish(settings.stop_timeout_seconds)
    finally:
        await poster.close()
        await channel.close()


async def _until_told(*work: Coroutine[Any, Any, None]) -> None:
    """Do all of it until a signal comes; if a part of it fails, that is raised."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    tasks = [asyncio.create_task(each) for each in work]
    waiting = asyncio.create_task(told.wait())
    await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, *tasks):
        task.cancel()
    for came in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(came, Exception):
            raise came
