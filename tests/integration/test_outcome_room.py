"""Outcomes that are kept until named groups have read them, on real servers."""

from __future__ import annotations

import itertools
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
import redis

from cli.embedded import Redis, temporary_folder
from settle_client import OutcomeClient
from tasks.errors import OutcomesNotPublishedError
from tasks.publishing import OutcomePublisher
from tasks.settle import invalid
from tests.oldest_redis import oldest_redis

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM, GROUP = "event-outcomes", "billing"
LENGTH = 100


@pytest.fixture(params=["6.2", "newest"])
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give a server of each kind."""
    with ExitStack() as stack:
        if request.param == "6.2":
            server = stack.enter_context(oldest_redis())
        else:
            folder = stack.enter_context(temporary_folder())
            server = stack.enter_context(Redis(folder / "redis"))
        yield stack.enter_context(redis.Redis.from_url(server.url))


def publish(client: Any, first: int, count: int, *groups: str) -> None:
    """Publish outcomes with numbers."""
    outcomes = [invalid("m", f"ev_{n}", "failed", "why") for n in range(first, first + count)]
    letters = OutcomePublisher(client, stream_max_length=LENGTH, keep_for=groups or (GROUP,))
    letters.publish(outcomes)


def read(client: Any, count: int, *, acknowledge: bool = True) -> int:
    """Let the group read, and return how many there were."""
    reply = client.xreadgroup(GROUP, "one", {STREAM: ">"}, count=count)
    ids = [id_ for _, entries in reply for id_, _ in entries]
    if acknowledge and ids:
        client.xack(STREAM, GROUP, *ids)
    return len(ids)


def test_a_stalled_group_loses_nothing(client: Any) -> None:
    """Publishing fails where there is no room, and goes on when there is."""
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    publish(client, 0, LENGTH)
    for _ in range(3):
        with pytest.raises(OutcomesNotPublishedError, match="the consumer group 'billing'"):
            publish(client, LENGTH, 1)
    assert client.xlen(STREAM) == LENGTH
    assert read(client, 30) == 30
    publish(client, LENGTH, 30)
    with pytest.raises(OutcomesNotPublishedError):
        publish(client, LENGTH + 30, 1)
    assert read(client, 1_000) == LENGTH


def test_what_is_not_acknowledged_is_kept(client: Any) -> None:
    """Somebody works on it, or has died over it."""
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    publish(client, 0, LENGTH)
    assert read(client, LENGTH, acknowledge=False) == LENGTH
    with pytest.raises(OutcomesNotPublishedError):
        publish(client, LENGTH, 1)
    ((first, _),) = client.xrange(STREAM, count=1)
    client.xack(STREAM, GROUP, first)
    publish(client, LENGTH, 1)
    with pytest.raises(OutcomesNotPublishedError):
        publish(client, LENGTH + 1, 1)


def test_what_is_pending_and_gone_holds_nothing_up(client: Any) -> None:
    """Nobody can read it any more."""
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    publish(client, 0, 5)
    assert read(client, 5, acknowledge=False) == 5
    client.xtrim(STREAM, maxlen=0, approximate=False)
    publish(client, 5, LENGTH)
    assert read(client, LENGTH) == LENGTH
    publish(client, LENGTH + 5, 10)


def test_the_stream_stays_as_short_as_it_is_to_be(client: Any) -> None:
    """Where the groups keep up, and however much comes at once."""
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    for number in range(0, 3_000, 150):
        publish(client, number, 150)
        assert read(client, 150) == 150
        assert client.xlen(STREAM) <= 150


def test_every_group_counts(client: Any) -> None:
    """One that is not there has read nothing; one that is not named does not."""
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    client.xgroup_create(STREAM, "others", "0")
    publish(client, 0, LENGTH)
    read(client, LENGTH)
    with pytest.raises(OutcomesNotPublishedError, match="'audit'"):
        publish(client, LENGTH, 1, GROUP, "audit")
    publish(client, LENGTH, 1, GROUP)


def publish_patiently(client: Any, first: int, last: int) -> None:
    """Publish some at a time, and again as long as there is no room."""
    while first < last:
        with suppress(OutcomesNotPublishedError):
            publish(client, first, 40)
            first += 40


def test_a_group_that_was_stalled_reads_everything_in_order(client: Any) -> None:
    """While more is published, as far as there is room."""
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    port = client.connection_pool.connection_kwargs["port"]
    publish(client, 0, LENGTH)
    publishing = threading.Thread(target=publish_patiently, args=(client, LENGTH, 1_060))
    publishing.start()
    with OutcomeClient(f"redis://127.0.0.1:{port}/0") as outcomes:
        read = itertools.islice(outcomes.follow(GROUP, "one"), 1_060)
        assert [one.id for one in read] == [f"ev_{number}" for number in range(1_060)]
    publishing.join()
