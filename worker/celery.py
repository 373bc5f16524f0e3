"""The Celery application: what `celery -A worker …` finds."""

import os
import sys
from functools import partial
from typing import Any

from celery import Celery
from celery.signals import celeryd_init, worker_shutdown
from celery.utils.log import get_logger

from service.addresses import is_cluster
from service.settings import SettingsError, load_settings
from worker.seams import thread

try:
    settings = load_settings()
except SettingsError as error:
    sys.exit(f"settle: {error}")

# Before the command line is read, which names a pool.
thread.install()

# Flower asks for no password unless it has one, and shows what is in messages: by itself it
# would listen on every interface. Its command line and its environment still say otherwise.
os.environ.setdefault("FLOWER_ADDRESS", "127.0.0.1")

logger = get_logger(__name__)

app = Celery("settle")
app.config_from_object("celeryconfig")

if is_cluster(settings.broker_url):
    from worker.transport.redis import onlooking  # not for who has another broker

    # kombu has no way there: clients need it as well.
    onlooking.install()


@celeryd_init.connect
def prepare_worker(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """Let a worker fetch in batches; Flower and other clients keep kombu's own transport."""
    from service import garbage  # noqa: PLC0415 - not for clients
    from service.spelling import misspelt  # noqa: PLC0415 - the same
    from worker.seams import decompression, event_dispatcher, logs  # noqa: PLC0415 - the same
    from worker.telling.outbox import Outbox  # noqa: PLC0415 - the same
    from worker.telling.results import why_unfit  # noqa: PLC0415 - the same
    from worker.transport.broker import broker_of  # noqa: PLC0415 - the same
    from worker.watching.step import Monitoring  # noqa: PLC0415 - the same

    if why := why_unfit(lambda: app.backend):
        sys.exit(f"settle: CELERY_RESULT_BACKEND: {why}")
    logs.install(app, instance, options, settings.log_format)
    for name, hint in misspelt(os.environ).items():
        logger.warning("variable is no setting", extra={"variable": name, "fix": hint})
    broker = broker_of(settings.broker_url)
    broker.install()
    decompression.install()
    outbox = Outbox(partial(app.connection_for_write, heartbeat=0), broker.reaches)
    event_dispatcher.install(app, outbox.put)
    worker_shutdown.connect(lambda **_: outbox.close(), weak=False)
    garbage.collect_seldom()
    app.steps["worker"].add(Monitoring)
