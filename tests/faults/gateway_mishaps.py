"""What each alert on gateways and webhooks is there for; `tests.faults.mishaps` has workers'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.watched_rig import LOCKED, Mishap, WatchedRig
from tests.gateway import Gateway, completed
from tests.service import eventually
from tests.webhooks import Receiver, Reply, accept, endpoint, has_group, publish

if TYPE_CHECKING:
    from collections.abc import Iterator


def gateway_down(it: WatchedRig) -> Iterator[None]:
    """The only gateway is gone."""
    gateway = it.start_gateway()
    yield
    gateway.kill()
    yield
    it.start_gateway()


def gateway_fails(it: WatchedRig) -> Iterator[None]:
    """PostgreSQL is away, and clients go on asking."""
    gateway = it.start_gateway()
    yield
    it.rig.postgres.stop()
    it.meanwhile = lambda: patch(gateway)
    yield
    it.rig.postgres.start()
    it.meanwhile = lambda: patch(gateway)


def gateway_outcomes_not_published(it: WatchedRig) -> Iterator[None]:
    """The result channel goes between a commit and its outcomes."""
    it.rig.service.load(LOCKED)
    gateway = it.start_gateway()
    yield
    it.rig.outcomes.stop(immediate=True)
    patch(gateway)
    yield
    it.rig.outcomes.start()


def webhook_disabled(it: WatchedRig) -> Iterator[None]:
    """An endpoint says that it is gone, and a person sees to it."""
    receiver = it.rig.at_end.enter_context(Receiver(lambda _: Reply(410)))
    webhooks = it.start_webhooks(endpoint("one", receiver.url()))
    yield
    channel = it.rig.service.channel
    eventually(lambda: has_group(channel))
    publish(channel, ["ev_1"])
    yield
    receiver.answer = accept
    webhooks.do("enable", "one")


def patch(gateway: Gateway) -> None:
    """Ask a gateway for an update, whatever it answers."""
    gateway.patch(completed(LOCKED))


GATEWAY_MISHAPS: dict[str, Mishap] = {
    "SettleGatewayDown": gateway_down,
    "SettleGatewayFails": gateway_fails,
    "SettleGatewayOutcomesNotPublished": gateway_outcomes_not_published,
    "SettleWebhookDisabled": webhook_disabled,
}
