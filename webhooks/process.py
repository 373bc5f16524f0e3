"""The process: routes, delivers and is watched, until it is asked to stop."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from service.addresses import hide_password
from service.channel import Channel
from service.exposition import Exposition
from service.settings import SettingsError
from service.watchdog import GRACE_SECONDS, end_after
from settle_client.redis_server import open_reader
from webhooks.delivering import EndpointSlots
from webhooks.destinations import Guard, networks_of
from webhooks.judging import Limits
from webhooks.metrics import CATALOGUE
from webhooks.posting import Poster
from webhooks.queues import Queues
from webhooks.routing import Router
from webhooks.sampling import Pulse, sample
from webhooks.stopping import Stop

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

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
    stop = Stop()
    endpoint_slots = EndpointSlots(endpoints, queues, poster, limits, stop, slots=slots)
    router = Router(channel, endpoints, lease, most, endpoint_slots.wake, stop)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.ask)
    logger.info(
        "webhooks start",
        extra={
            "endpoints": len(endpoints.all()),
            "result_channel": hide_password(settings.result_channel_url),
            "settle": version("settle"),
        },
    )
    parts = (router.run(), endpoint_slots.run(), sample(channel, endpoints, pulse, stop))
    try:
        await _run_until_asked(stop, parts, settings.stop_timeout_seconds)
        await endpoint_slots.finish(settings.stop_timeout_seconds)
    finally:
        await poster.close()
        await channel.close()


async def _run_until_asked(
    stop: Stop, parts: Iterable[Coroutine[Any, Any, None]], stop_seconds: float
) -> None:
    """Run all parts until asked to stop; if one of them fails, that is raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    asked = asyncio.create_task(stop.wait())
    await asyncio.wait([asked, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stop.ask()
    end_after(stop_seconds + GRACE_SECONDS, "webhooks did not stop", logger)
    done, late = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
    for task in late:
        task.cancel()
    for task in done:
        task.result()
