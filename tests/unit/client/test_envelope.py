"""The form of a message, which the client has written down: what Celery itself writes."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from typing import Any

import pytest
from celery import Celery

from settle_client.envelope import Envelope, bulk, single
from settle_client.names import QUEUE, TASK
from settle_client.update import StatusUpdate

UPDATE = StatusUpdate("ev_1", "completed", "acct_9")
OTHER = StatusUpdate("ü 100%\n“", "failed")
# Made anew for every message, or meant for the one who waits for a Celery result.
OWN = {"delivery_tag", "reply_to"}


def written_by_celery(envelope: Envelope, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let Celery send the same message to a queue in memory, and return what lies there."""
    # Whatever the environment names, nothing is sent there.
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    args, kwargs, _ = json.loads(envelope.body)
    app = Celery(set_as_current=False)
    with (
        app.connection_for_write("memory://") as connection,
        app.amqp.Producer(connection) as producer,
    ):
        channel = connection.default_channel
        app.send_task(
            TASK,
            *(args, kwargs),
            queue=QUEUE,
            producer=producer,
            task_id=envelope.message_id,
            ignore_result=True,
        )
        item = json.loads(json.dumps(channel._get(QUEUE)))
    return taken_apart(item)


def taken_apart(item: Any) -> Any:
    """Return an item of the queue with its body decoded, without what is each message's own."""
    properties = {name: value for name, value in item["properties"].items() if name not in OWN}
    return {**item, "body": json.loads(b64decode(item["body"])), "properties": properties}


def test_one_update_is_written_as_celery_writes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Field for field, and what it adds is when it was sent."""
    envelope = single(UPDATE)
    ours = taken_apart(json.loads(envelope.item()))
    assert isinstance(ours["headers"].pop("sent_at"), float)
    assert ours == written_by_celery(envelope, monkeypatch)


def test_several_updates_are_written_as_celery_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is shown of the arguments is shorter: ids alone."""
    envelope = bulk([UPDATE, OTHER])
    ours, theirs = (
        taken_apart(json.loads(envelope.item())),
        written_by_celery(envelope, monkeypatch),
    )
    assert ours["headers"].pop("argsrepr") == r"['ev_1', 'ü 100%\n“']"
    del theirs["headers"]["argsrepr"], ours["headers"]["sent_at"]
    assert ours == theirs


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        pytest.param(1, "['ev_1']", id="one"),
        pytest.param(3, "['ev_1', 'ev_2', 'ev_3']", id="three"),
        pytest.param(4, "['ev_1', 'ev_2', … 2 more]", id="four"),
        pytest.param(1_000, "['ev_1', 'ev_2', … 998 more]", id="many"),
    ],
)
def test_of_several_updates_the_first_ids_are_shown(count: int, shown: str) -> None:
    """And how many more there are: enough to find a message again, however many it carries."""
    updates = [StatusUpdate(f"ev_{number + 1}", "failed") for number in range(count)]
    assert bulk(updates).headers()["argsrepr"] == shown


def test_on_rabbitmq_the_headers_are_the_same() -> None:
    """Beside the body, in no envelope."""
    envelope = single(OTHER)
    item = json.loads(envelope.item())
    headers = envelope.headers()
    assert headers.keys() == item["headers"].keys()
    assert {**headers, "sent_at": 0} == {**item["headers"], "sent_at": 0}


def test_no_two_items_share_a_delivery_tag() -> None:
    """Not even two of the same message, of which one may be acknowledged by the other's."""
    envelope = single(UPDATE)
    tags = {json.loads(envelope.item())["properties"]["delivery_tag"] for _ in range(3)}
    assert len(tags) == 3


def test_a_message_says_which_process_sent_it() -> None:
    """As Celery's does."""
    assert single(UPDATE).headers()["origin"].startswith(f"gen{os.getpid()}@")
