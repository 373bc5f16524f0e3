"""An outcome as a CloudEvent 1.0 in JSON, for those who read many kinds of events by one rule.

One that is repeated has the same `source` and `id`, by which the standard tells duplicates.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from settle_client.moments import timestamp

if TYPE_CHECKING:
    from service.entries import Head

MEDIA_TYPE = "application/cloudevents+json"
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"

SOURCE = "/v2/api/events"
TYPE = "settle.event.outcome"
# What no attribute may have in it: control characters, halves of pairs, and what is no character.
_DISALLOWED = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufdd0-\\ufdef"
    + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(17))
    + "]"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MILLISECOND = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


def cloud_event(head: Head, text: str, entry_id: str) -> str:
    """Write an outcome as a CloudEvent.

    Args:
        head: What the outcome says.
        text: The outcome, as JSON; it becomes the `data` as it is.
        entry_id: Of its entry in the stream: when it was published, and what tells it apart
            where the outcome itself does not say.
    """
    is_told_apart = head.message_id is not None and head.index is not None
    id_ = f"{head.message_id}/{head.index}" if is_told_apart else entry_id
    attributes = {
        "specversion": "1.0",
        "id": _DISALLOWED.sub(lambda found: quote(found[0], errors="replace"), id_),
        "source": SOURCE,
        "type": TYPE,
        # What cannot be an attribute is in the data all the same.
        **({"subject": head.id} if head.id and not _DISALLOWED.search(head.id) else {}),
        "time": timestamp(published_at(entry_id)),
        "datacontenttype": "application/json",
    }
    return f'{json.dumps(attributes)[:-1]}, "data": {text}}}'


def published_at(entry_id: str) -> datetime:
    """Return when an entry was added to the stream, by the clock of its Redis.

    Who adds to a stream may choose the id: beyond what Python has days for, it is the last.
    """
    return _EPOCH + timedelta(milliseconds=min(int(entry_id.partition("-")[0]), _LAST_MILLISECOND))
