"""A message in the form in which a Celery client writes it, rendered once and then filled in.

Celery itself writes the form, into memory, when it is first needed; what differs
from message to message is left open. Rendering every message anew is what makes
`send_task` slow. Knows no broker: `settle_client.broker` sends what is made here.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from celery import Celery

from settle_client.names import QUEUE, SENT_AT, TASK
from settle_client.trace_context import trace_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.update import StatusUpdate

_ITEMS = itertools.count(1)

# What is left open in the form.
ID, TAG, BODY, ARGS, KWARGS = (f"@{name}@" for name in ("id", "tag", "body", "args", "kwargs"))
TRACE = "@trace@"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, ready to be sent.

    Attributes:
        message_id: The Celery task id.
        update_count: How many updates it carries.
        body: JSON text, `[args, kwargs, embed]`.
        args: What Flower and logs show of its arguments.
        kwargs: The same of its keyword arguments.
        trace: Headers that say which trace it belongs to, if it does to one.
    """

    message_id: str
    update_count: int
    body: str
    args: str
    kwargs: str
    trace: dict[str, str] | None = None

    def item(self) -> str:
        """Write it as kombu's Redis transport lays it into a list."""
        return _form().item % {
            "id": self.message_id,
            # No two items may share one, not even two of the same message.
            "tag": f"{self.message_id}-{next(_ITEMS)}",
            "body": b64encode(self.body.encode()).decode(),
            "args": encode_basestring_ascii(self.args)[1:-1],
            "kwargs": encode_basestring_ascii(self.kwargs)[1:-1],
            "trace": json.dumps(self.trace)[1:-1] + ", " if self.trace else "",
            "sent_at": time.time(),
        }

    def headers(self) -> dict[str, Any]:
        """Return its headers, for a broker that takes them apart from the body."""
        return {
            **_form().headers,
            "id": self.message_id,
            "root_id": self.message_id,
            "argsrepr": self.args,
            "kwargsrepr": self.kwargs,
            **(self.trace or {}),
            SENT_AT: time.time(),
        }


def single(update: StatusUpdate) -> Envelope:
    """Make a message of one update: kwargs."""
    fields = {"id": update.id, "status": update.status}
    if update.account_id is not None:
        fields["accountId"] = update.account_id
    body = f"[[], {json.dumps(fields)}, {_form().embed}]"
    return Envelope(str(uuid.uuid4()), 1, body, "()", repr(fields), trace_headers())


def bulk(updates: Sequence[StatusUpdate]) -> Envelope:
    """Make a message of several updates, at least one: args."""
    texts = ", ".join(
        update.model_dump_json(by_alias=True, exclude_none=True) for update in updates
    )
    body = f"[[[{texts}]], {{}}, {_form().embed}]"
    count = len(updates)
    args = f"(<{count} updates>,)"
    return Envelope(str(uuid.uuid4()), count, body, args, "{}", trace_headers())


@dataclass(frozen=True, slots=True)
class _Form:
    """What all messages have in common."""

    item: str
    headers: dict[str, Any]
    embed: str


@cache
def _form() -> _Form:
    written = _written_by_celery()
    _, _, embed = json.loads(written["body"])
    written["body"] = BODY
    written["properties"]["delivery_tag"] = TAG
    headers = written["headers"]
    item = json.dumps({**written, "headers": {TRACE: None, **headers, SENT_AT: f"@{SENT_AT}@"}})
    item = item.replace("%", "%%").replace(f'"{TRACE}": null, ', "%(trace)s")
    for place in (ID, TAG, BODY, ARGS, KWARGS):
        item = item.replace(place, f"%({place.strip('@')})s")
    # A number, not a text.
    item = item.replace(f'"@{SENT_AT}@"', f"%({SENT_AT}).6f")
    return _Form(item, headers, json.dumps(embed))


def _written_by_celery() -> dict[str, Any]:
    """Let Celery send a message to itself, and return what it would lay into a list of Redis."""
    # Whoever else sends in memory in this process has other queues.
    queue = f"{QUEUE}-{uuid.uuid4()}"
    app = Celery(set_as_current=False)
    options = {"task_id": ID, "argsrepr": ARGS, "kwargsrepr": KWARGS, "ignore_result": True}
    # Named once more: CELERY_BROKER_URL in the environment would win over the application's.
    with (
        app.connection_for_write("memory://") as connection,
        app.amqp.Producer(connection) as producer,
    ):
        app.send_task(TASK, queue=queue, producer=producer, **options)
        channel = connection.default_channel
        written: dict[str, Any] = json.loads(
            json.dumps(channel._get(queue)).replace(queue, QUEUE)  # noqa: SLF001
        )
        written["body"] = channel.decode_body(
            written["body"], written["properties"]["body_encoding"]
        ).decode()
    # `send_task` also takes these for options of kombu's.
    for name in ("argsrepr", "kwargsrepr"):
        del written["properties"][name]
    return written
