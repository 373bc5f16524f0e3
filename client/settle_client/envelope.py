"""A message in the form in which a Celery client writes it, protocol 2.

The form is written down here, so that who sends needs no Celery; a test compares it
with what Celery itself writes. Knows no broker: `settle_client.queue` sends what is
made here.
"""

from __future__ import annotations

import itertools
import os
import platform
import time
import uuid
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from settle_client.names import QUEUE, SENT_AT, TASK
from settle_client.outcome import encode_json
from settle_client.trace_context import trace_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.update import StatusUpdate

CONTENT_TYPE = "application/json"
CONTENT_ENCODING = "utf-8"
PERSISTENT = 2

# What is in every message.
HEADERS: dict[str, Any] = {
    "lang": "py",
    "task": TASK,
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "parent_id": None,
    "ignore_result": True,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}
EMBED = b'{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'

# Monitors keep thousands of messages: what they show of each is to be short.
MOST_IDS_SHOWN, FIRST_IDS_SHOWN = 3, 2

_ITEMS = itertools.count(1)


class Envelope(NamedTuple):
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
    body: bytes
    args: str
    kwargs: str
    trace: dict[str, str] | None = None

    def headers(self) -> dict[str, Any]:
        """Return its headers, for a broker that takes them apart from the body."""
        return {
            **(self.trace or {}),
            **HEADERS,
            "id": self.message_id,
            "root_id": self.message_id,
            "argsrepr": self.args,
            "kwargsrepr": self.kwargs,
            "origin": _origin(os.getpid()),
            SENT_AT: time.time(),
        }

    def item(self) -> bytes:
        """Write it as kombu's Redis transport lays it into a list."""
        return encode_json(
            {
                # Bytes are written in base 64.
                "body": self.body,
                "content-encoding": CONTENT_ENCODING,
                "content-type": CONTENT_TYPE,
                "headers": self.headers(),
                "properties": {
                    "correlation_id": self.message_id,
                    "delivery_mode": PERSISTENT,
                    "delivery_info": {"exchange": "", "routing_key": QUEUE},
                    "priority": 0,
                    "body_encoding": "base64",
                    # No two items may share one, not even two of the same message.
                    "delivery_tag": f"{self.message_id}-{next(_ITEMS)}",
                },
            }
        )


def single(update: StatusUpdate) -> Envelope:
    """Make a message of one update: kwargs."""
    body = b"[[], %b, %b]" % (encode_json(update), EMBED)
    shown = repr(update.to_dict())
    return Envelope(str(uuid.uuid4()), 1, body, "()", shown, trace_headers())


def bulk(updates: Sequence[StatusUpdate]) -> Envelope:
    """Make a message of several updates, at least one: args."""
    body = b"[[%b], {}, %b]" % (encode_json(updates), EMBED)
    shown = show_ids(updates)
    return Envelope(str(uuid.uuid4()), len(updates), body, shown, "{}", trace_headers())


def show_ids(updates: Sequence[Any]) -> str:
    """Write what monitors show of several updates: the first ids, and how many more there are.

    Args:
        updates: Each with an `id`.
    """
    shown = len(updates) if len(updates) <= MOST_IDS_SHOWN else FIRST_IDS_SHOWN
    ids = [repr(update.id) for update in updates[:shown]]
    more = [f"… {len(updates) - shown:,} more"] if shown < len(updates) else []
    return f"[{', '.join(ids + more)}]"


@lru_cache(maxsize=1)
def _origin(process_id: int) -> str:
    return f"gen{process_id}@{platform.node()}"
