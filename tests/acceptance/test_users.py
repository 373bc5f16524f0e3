"""What the users of docs/operations.md can do besides the main job, and what they cannot."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING

import pytest
import redis

from tasks.outcome_client import OutcomeClient
from tests.accounts import CannotCreateUsersError, redis_users
from tests.service import PATIENCE_SECONDS
from worker.embedded import dies_with_parent, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.accounts import RedisUrls
    from tests.conftest import Urls
    from tests.service import Service


@pytest.fixture(scope="module")
def curious(urls: Urls) -> Iterator[RedisUrls]:
    """Give users of whom it does not matter what they are denied."""
    try:
        with redis_users(urls.redis) as users:
            yield users
    except CannotCreateUsersError as error:
        pytest.skip(str(error))


def test_the_operator_watches_with_flower(service: Service) -> None:
    """It sees the workers, who have found one another, and the queue."""
    service.load("ev_1")
    service.worker_options = ()
    service.start_worker()
    second = service.start_worker()
    second.wait_for_log("mingle: sync complete")
    port = free_port()
    flower = subprocess.Popen(
        [
            *(*dies_with_parent("TERM"), sys.executable, "-m", "celery"),
            *("--broker", service.users.operator, "flower", f"--port={port}"),
        ],
        env={"PATH": "/usr/bin:/bin", "FLOWER_UNAUTHENTICATED_API": "true"},
        cwd=service.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        for page, text in (("metrics", "flower_worker_online"), ("broker", "event-status-updates")):
            told = ""
            while text not in told:
                assert time.monotonic() < deadline, told
                with suppress(OSError):
                    address = f"http://127.0.0.1:{port}/{page}"
                    told = urllib.request.urlopen(address, timeout=10).read().decode()
    finally:
        flower.kill()
        flower.wait()


def test_the_consumer_follows_as_a_group(service: Service) -> None:
    """It makes the group, reads, acknowledges, and takes over what another left."""
    service.load("ev_1", "ev_2")
    service.start_worker()
    updates = [{"id": id_, "status": "failed"} for id_ in ("ev_1", "ev_2")]
    service.wait({service.send(args=[updates]).id: ["ev_1", "ev_2"]})
    with closing(OutcomeClient(service.users.consumer)) as first:
        next(first.follow("audit", "first"))  # and dies before it acknowledges
    with closing(OutcomeClient(service.users.consumer)) as second:
        taken = second.follow("audit", "second", claim_after_seconds=0.001)
        assert {outcome.id for outcome in islice(taken, 2)} == {"ev_1", "ev_2"}


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("worker", "FLUSHDB"),
        ("worker", "CONFIG GET requirepass"),
        ("worker", "KEYS *"),
        ("worker", "GET secret"),
        ("worker", "CLIENT KILL TYPE normal"),
        ("worker", "ACL LIST"),
        ("producer", "RPOP event-status-updates"),
        ("producer", "DEL event-status-updates"),
        ("producer", "XADD event-outcomes * outcome {}"),
        ("producer", "PUBLISH event-outcomes {}"),
        ("producer", "HDEL unacked tag"),
        ("producer", "PUBLISH /0.celery.pidbox {}"),
        ("consumer", "XADD event-outcomes * outcome {}"),
        ("consumer", "XTRIM event-outcomes MAXLEN 0"),
        ("consumer", "DEL event-outcomes"),
        ("consumer", "LPUSH event-status-updates {}"),
        ("operator", "XADD event-outcomes * outcome {}"),
        ("operator", "FLUSHALL"),
        ("operator", "ACL LIST"),
        ("housekeeper", "DEL event-outcomes"),
        ("housekeeper", "XADD event-status-updates.dead * raw {}"),
        ("housekeeper", "XTRIM event-status-updates MAXLEN 0"),
        ("housekeeper", "XREAD COUNT 1 STREAMS event-outcomes 0"),
    ],
)
def test_users_cannot_do_what_is_not_their_part(
    curious: RedisUrls, user: str, command: str
) -> None:
    """Each command is refused."""
    with (
        redis.Redis.from_url(getattr(curious, user)) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command.split())
