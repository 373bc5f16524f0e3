"""What is said of a gateway that does not settle."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest

from gateway.events.publishing import PatientPublisher
from gateway.health import CHANNEL_FIX, Health
from settle_client.names import OUTCOMES
from tasks.errors import OutcomesNotPublishedError
from tasks.publishing import OutcomePublisher
from tasks.settle import invalid

if TYPE_CHECKING:
    from service.fitness import Obstacle


def look(publisher: PatientPublisher, channel: OutcomePublisher) -> Obstacle | None:
    """Ask once; the database is as it should be."""
    fitness = SimpleNamespace(look=lambda: None)
    service: Any = SimpleNamespace(fitness=fitness, publisher=channel)
    return asyncio.run(Health(service, publisher).look())


@pytest.mark.parametrize(
    ("is_away", "fix"),
    [(True, CHANNEL_FIX), (False, "start the consumers of the groups")],
    ids=["it is away", "it waits for a group"],
)
def test_what_to_do_is_about_what_is_wrong_with_the_channel(
    is_away: bool, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel that is full of what a group has not read need not be started."""
    # What it tries is refused by real servers: tests/integration/test_channel_check.py.
    monkeypatch.setattr(OutcomePublisher, "check", lambda _: None)
    server = fakeredis.FakeServer()
    client: Any = fakeredis.FakeRedis(server=server)
    client.xgroup_create(OUTCOMES, "billing", "0", mkstream=True)
    channel = OutcomePublisher(client, stream_max_length=1, keep_for=("billing",))
    publisher = PatientPublisher(channel)
    assert look(publisher, channel) is None
    publisher.publish([invalid("m", "ev_1", "failed", "why", index=0)], [])
    server.connected = not is_away
    with pytest.raises(OutcomesNotPublishedError):
        publisher.publish([invalid("m", "ev_1", "failed", "why", index=1)], [])
    obstacle = look(publisher, channel)
    assert obstacle is not None
    assert obstacle.fix.startswith(fix)
