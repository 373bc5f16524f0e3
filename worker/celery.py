"""The Celery application: what `celery -A worker …` finds."""

import sys
from typing import Any

from celery import Celery
from celery.signals import celeryd_init

from worker import thread
from worker.settings import SettingsError, load_settings

try:
    load_settings()
except SettingsError as error:
    sys.exit(f"settle: {error}")

# Before the command line is read, which names a pool.
thread.install()

app = Celery("settle")
app.config_from_object("celeryconfig")


@celeryd_init.connect
def prepare_worker(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """Let a worker fetch in batches; Flower and other clients keep kombu's own transport."""
    from worker import decompression, garbage, transport  # noqa: PLC0415 - not for clients
    from worker.monitoring import logs  # noqa: PLC0415 - the same
    from worker.monitoring.step import Monitoring  # noqa: PLC0415 - the same

    logs.install(app, instance, options)
    transport.install()
    decompression.install()
    garbage.collect_seldom()
    app.steps["worker"].add(Monitoring)
