"""Redis behind sentinels: everybody finds the primary, and says what is in the way if not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.dead.replaying import opened_queue
from cli.embedded import Redis
from service.settings import Settings
from settle_client.envelope import bulk
from settle_client.names import QUEUE
from settle_client.redis_server import clients_of, open_client
from settle_client.update import StatusUpdate
from tests.sentinel import sentinel
from tests.started import started
from worker.transport.broker import broker_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

UPDATE = StatusUpdate("ev_1", "completed")
STORE = "from worker.celery import app; app.backend.store_result('m', [1], 'SUCCESS')"
NOBODY = "sentinel://:hush@127.0.0.1:1;sentinel://:hush@127.0.0.1:2"


@pytest.fixture(scope="module")
def primary() -> Iterator[Redis]:
    """Give a server."""
    with started(Redis) as server:
        yield server


@pytest.fixture(scope="module")
def watched(primary: Redis) -> Iterator[str]:
    """Give the URL of a sentinel that watches it."""
    with sentinel(primary, primary.directory) as url:
        yield url


def settings(broker: str, **others: Any) -> Settings:
    """Return settings of a broker."""
    changed = {"broker_url": broker, "sentinel_master": "settle", **others}
    return Settings.model_construct(**{**Settings().model_dump(), **changed})


def reach(url: str, **others: Any) -> AbstractContextManager[Any]:
    """Connect as the doctor and `settle top` do, and as a worker does for its metrics."""
    return broker_of(url).reach(settings(url, **others))


def test_who_looks_on_speaks_tls_where_workers_do(watched: str) -> None:
    """As the URL says: with a primary that knows no TLS it is the doctor that finds out."""
    url = f"{watched}?ssl_cert_reqs=required"
    with pytest.raises(redis.RedisError), reach(url):
        pass


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "asyncio"])
def test_sentinels_that_do_not_answer_are_no_sentinels_that_know_nobody(
    watched: str, asynchronous: bool
) -> None:
    """In one short line each, without what the client was made of."""

    async def ping(url: str) -> None:
        options: dict[str, Any] = {"master_name": "another"}
        client = open_client(url, asynchronous=asynchronous, **options)
        try:
            await client.ping() if asynchronous else client.ping()
        finally:
            for each in clients_of(client):
                await each.aclose() if asynchronous else each.close()

    with pytest.raises(redis.ConnectionError, match=r"no sentinel knows a primary named another$"):
        asyncio.run(ping(watched))
    with pytest.raises(redis.ConnectionError, match=r"named another: Error 111") as caught:
        asyncio.run(ping(NOBODY))
    assert len(str(caught.value)) < 300
    with pytest.raises(redis.ConnectionError, match=r"named settle: Error 111"), reach(NOBODY):
        pass


def test_celery_results_are_stored_behind_sentinels(primary: Redis, watched: str) -> None:
    """By the primary that they watch, whose name it is told."""
    environment = {"CELERY_BROKER_URL": primary.url, "CELERY_RESULT_BACKEND": watched}
    named = {**os.environ, **environment, "SETTLE_SENTINEL_MASTER": "settle"}
    subprocess.run([sys.executable, "-c", STORE], env=named, check=True)
    with redis.Redis(port=primary.port) as client:
        assert client.exists("celery-task-meta-m")


def test_a_broker_by_itself_takes_messages_though_the_outcomes_are_behind_sentinels(
    primary: Redis, watched: str
) -> None:
    """The primary's name is for whom it concerns."""
    with opened_queue(settings(primary.url, outcome_url=watched)) as queue:
        queue.push([bulk([UPDATE])])
    with opened_queue(settings(watched)) as queue, ExitStack() as stack:
        queue.push([bulk([UPDATE])])
        client = stack.enter_context(redis.Redis(port=primary.port))
        assert client.llen(QUEUE) == 2
