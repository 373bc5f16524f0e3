"""`settle page`: a page for operators, in a browser."""

from __future__ import annotations

import logging

import click

from cli.errors import not_installed
from service.addresses import hide_password
from service.settings import SettingsError, load_settings

logger = logging.getLogger(__name__)


@click.command("page")
def command() -> None:
    """Serve a page for operators: what settle top shows, and the dead letters, to be seen to.

    On this machine alone, or with SETTLE_PAGE_KEY for whoever shows that; until it is stopped.
    """
    settings = load_settings()
    try:
        from gateway.access.admission import is_loopback  # noqa: PLC0415
        from gateway.serving import server  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        raise not_installed(error) from error
    host, port = settings.page_host, settings.page_port
    if settings.page_key is None and not is_loopback(host):
        raise SettingsError(
            "SETTLE_PAGE_KEY: is required, because SETTLE_PAGE_HOST is not loopback: "
            "draw one (openssl rand -hex 32), or listen on 127.0.0.1"
        )
    from cli.page.application import make_application  # noqa: PLC0415 - takes its time
    from worker.celery import app  # noqa: PLC0415 - the same

    server.log_as(settings.log_format)
    listening = server.listen(host, port, "SETTLE_PAGE")
    logger.info(
        "page starts",
        extra={
            "address": f"http://{f'[{host}]' if ':' in host else host}:{port}",
            "key": "none: for this machine only" if settings.page_key is None else "asked for",
            "broker": hide_password(settings.broker_url),
            "result_channel": hide_password(settings.result_channel_url),
        },
    )
    application = make_application(settings, app)
    server.serve(application, listening, stop_timeout_seconds=settings.stop_timeout_seconds)
    logger.info("page stopped")
