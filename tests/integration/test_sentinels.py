"""Redis behind sentinels: everybody finds the primary, and says what is in the way if not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import redis
from pydantic import SecretStr

from cli.dead.replaying import opened_queue
from cli.doctor.examination import examine
from cli.doctor.parts import broker_part
from cli.embedded import Redis
from service.addresses import hide_password
from service.settings import Settings, effective
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
    from pathlib import Path

pytestmark = pytest.mark.storms

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


PASSWORD = "hush%41;&@/ü+"  # noqa: S105
# No more than a sentinel is asked for.
USER = f"user asker on >{PASSWORD} resetchannels -@all +@connection +sentinel|masters"
PING = (
    "from worker.celery import app; app.connection_for_write().default_channel.client.ping(); "
    "print(app.conf.table(), app.connection_for_write().info(), app.bugreport())"
)


@pytest.fixture(params=["", "asker"], ids=["a password", "a user"])
def guarded(
    request: pytest.FixtureRequest, primary: Redis, tmp_path: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the URL of a sentinel that asks who is there, and the settings that say it."""
    known = {"sentinel_password": SecretStr(PASSWORD)}
    if request.param:
        known["sentinel_username"] = request.param
    guard = f"requirepass {'other' if request.param else PASSWORD}"
    with sentinel(primary, tmp_path, guard=f"{guard}\n{USER if request.param else ''}") as url:
        yield url, known


def test_sentinels_that_ask_who_is_there_are_told(
    primary: Redis, guarded: tuple[str, dict[str, Any]]
) -> None:
    """By whoever has the settings, or a URL that says it; whatever is in the password."""
    url, login = guarded
    known = settings(url, **login)
    with reach(url, **login) as server, opened_queue(known) as queue:
        assert server.info["tcp_port"] == primary.port
        queue.push([bulk([UPDATE])])

    async def ping() -> None:
        client = open_client(known.result_channel_url, asynchronous=True)
        assert await client.ping()
        for each in clients_of(client):
            await each.aclose()

    asyncio.run(ping())
    assert quote(PASSWORD, safe="") not in hide_password(known.result_channel_url)
    assert "***" in hide_password(known.result_channel_url)
    assert PASSWORD not in str(effective(known))


def test_celery_tells_sentinels_who_is_there_and_nobody_else(
    primary: Redis, guarded: tuple[str, dict[str, Any]]
) -> None:
    """As a client, and for its results; of what it shows none is the password."""
    url, login = guarded
    environment = {
        **os.environ,
        **dict.fromkeys(("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"), url),
        "SETTLE_SENTINEL_MASTER": "settle",
        "SETTLE_SENTINEL_PASSWORD": PASSWORD,
        "SETTLE_SENTINEL_USERNAME": login.get("sentinel_username", ""),
    }
    with redis.Redis(port=primary.port) as client:
        client.flushall()
        for script in (STORE, PING):
            done = subprocess.run(
                [sys.executable, "-c", script],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            )
            assert PASSWORD not in done.stdout
        assert client.exists("celery-task-meta-m")


def test_who_has_no_login_of_a_sentinel_is_told_so(guarded: tuple[str, dict[str, Any]]) -> None:
    """By the doctor with what to correct; a wrong one is not shown."""
    url, _ = guarded
    for login in ({}, {"sentinel_password": SecretStr("wr0ng")}):
        (found, *_) = examine(broker_part(settings(url, **login)))
        assert "a primary named settle: it wants another sentinel_password" in found.finding.found
        assert "SETTLE_SENTINEL_" in found.finding.fix
        assert "wr0ng" not in found.finding.found


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
