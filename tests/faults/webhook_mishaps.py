"""What each alert on webhooks is there for; `tests.faults.mishaps` has workers'."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.service import eventually
from tests.webhooks import Receiver, Reply, accept, endpoint, has_group, publish
from webhooks.names import queue_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.watched_rig import Mishap, WatchedRig
    from tests.webhooks import Webhooks

NAME = "one"
HOUR_MILLISECONDS = 3_600_000


def webhooks_down(it: WatchedRig) -> Iterator[None]:
    """The only process is gone."""
    _, webhooks = pushing(it, Reply())
    yield
    webhooks.close()
    yield
    it.start_webhooks(endpoint(NAME, "https://one.example/"))


def webhook_disabled(it: WatchedRig) -> Iterator[None]:
    """An endpoint says that it is gone, and a person sees to it."""
    receiver, webhooks = pushing(it, Reply(410))
    yield
    publish(it.rig.service.channel, ["ev_1"])
    yield
    receiver.answer = accept
    webhooks.do("enable", NAME)


def webhook_queue_is_old(it: WatchedRig) -> Iterator[None]:
    """What waits for an endpoint that is ill has waited for an hour."""
    receiver, webhooks = pushing(it, Reply(503))
    yield
    queue_as_if_old(it)
    publish(it.rig.service.channel, ["ev_2"])
    yield
    receiver.answer = accept
    webhooks.do("enable", NAME)


def webhook_outcomes_set_aside(it: WatchedRig) -> Iterator[None]:
    """More waits than there is room for, and a person sends it again."""
    receiver, webhooks = pushing(it, Reply(503), SETTLE_WEBHOOKS_QUEUE_MAX_LENGTH="2")
    yield
    publish(it.rig.service.channel, ["ev_1", "ev_2", "ev_3"])
    yield
    receiver.answer = accept
    webhooks.do("enable", NAME)
    eventually(lambda: len(receiver.ids()) == 2)
    webhooks.do("replay", NAME)


def pushing(it: WatchedRig, reply: Reply, **settings: str) -> tuple[Receiver, Webhooks]:
    """Push to one endpoint, which answers so."""
    receiver = it.rig.at_end.enter_context(Receiver(lambda _: reply))
    webhooks = it.start_webhooks(endpoint(NAME, receiver.url()), **settings)
    eventually(lambda: has_group(it.rig.service.channel))
    return receiver, webhooks


def queue_as_if_old(it: WatchedRig) -> None:
    """Put an outcome into the queue that says that it has been there for an hour."""
    place = f"{int(time.time() * 1_000) - HOUR_MILLISECONDS}-0"
    outcome = '{"id": "ev_1", "accountId": "acct_1"}'
    fields = {"event": "ev_1", "entry": place, "outcome": outcome}
    it.rig.service.channel.xadd(queue_of(NAME), fields, id=place)


WEBHOOK_MISHAPS: dict[str, Mishap] = {
    "SettleWebhooksDown": webhooks_down,
    "SettleWebhookDisabled": webhook_disabled,
    "SettleWebhookQueueIsOld": webhook_queue_is_old,
    "SettleWebhookOutcomesSetAside": webhook_outcomes_set_aside,
}
