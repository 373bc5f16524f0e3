"""The pages of the documentation that are written from what they describe."""

from __future__ import annotations

from typing import Any

from gateway.metrics import CATALOGUE as GATEWAY
from service.settings import Settings, variable
from webhooks.metrics import CATALOGUE as WEBHOOKS
from worker.telling.metrics import CATALOGUE as WORKER


def configuration() -> str:
    """Write `docs/configuration.md`."""
    rows = [
        f"| `{variable(name)}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([_CONFIGURATION_HEAD, *rows, ""])


def _default(value: Any) -> str:
    if value is None:
        return "not set"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


_CONFIGURATION_HEAD = """\
# Configuration

Settings are environment variables. `settle config` shows the ones in force, with secrets hidden.
How many batches a worker applies at once is Celery's own `--concurrency` (default 3); the pool is
Celery's `--pool` (default `threads`).

<!-- Written by `settle config --reference`; a test fails when this page is stale. -->

| variable | default | meaning |
|---|---|---|"""


def metrics() -> str:
    """Write `docs/metrics.md`."""
    parts = (_METRICS_HEAD, WORKER.table(), "", _METRICS_OF_GATEWAY, GATEWAY.table())
    return "\n".join([*parts, "", _METRICS_OF_WEBHOOKS, WEBHOOKS.table(), ""])


_METRICS_HEAD = """\
# Metrics

With `SETTLE_METRICS_PORT` a worker serves these at `/metrics`, in the format of Prometheus. They
are about that one worker, unless they say otherwise. The usual `process_…` metrics of its main
process are there too. See [watching](watching.md#metrics) for the dashboard and the alerts.

<!-- Written by `settle config --metrics-reference`; a test fails when this page is stale. -->
"""

_METRICS_OF_GATEWAY = """\
## The gateway

`settle gateway` serves these at `/metrics`, on its own port; where it has API keys, with one.
"""

_METRICS_OF_WEBHOOKS = """\
## Webhooks

`settle webhooks` serves these at `/metrics` of `SETTLE_METRICS_PORT`.
"""
