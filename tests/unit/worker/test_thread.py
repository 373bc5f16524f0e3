"""The pool that a worker has by default, and what of Celery that builds on."""

from __future__ import annotations

from types import SimpleNamespace

import click
import pytest
from celery.bin.worker import WorkersPool, worker
from celery.concurrency.prefork import TaskPool as PreforkPool
from celery.concurrency.solo import TaskPool as SoloPool

from worker.celery import app
from worker.seams.thread import TaskPool


def pool_of(*arguments: str) -> object:
    """Return the pool that a command line means."""
    parsed = worker.make_context(
        "worker", list(arguments), obj=SimpleNamespace(app=app), resilient_parsing=False
    )
    return parsed.params["pool"]


@pytest.mark.parametrize(
    ("arguments", "pool"),
    [
        pytest.param((), TaskPool, id="nothing said"),
        pytest.param(("--pool", "threads"), TaskPool, id="threads"),
        pytest.param(("--pool", "prefork"), PreforkPool, id="prefork"),
        pytest.param(("-P", "solo"), SoloPool, id="solo"),
    ],
)
def test_a_command_line_means_a_pool(arguments: tuple[str, ...], pool: object) -> None:
    """Threads, unless it names another one."""
    assert pool_of(*arguments) is pool


def test_celery_prefers_the_configuration_to_a_prefork_that_was_asked_for() -> None:
    """Which is why the default stands at the option; when this fails it may move to the config."""
    obj = SimpleNamespace(app=SimpleNamespace(conf=SimpleNamespace(worker_pool="solo")))
    with click.Context(worker, obj=obj) as context:
        assert WorkersPool().convert("prefork", None, context) is SoloPool
