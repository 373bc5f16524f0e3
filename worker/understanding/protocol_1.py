"""Messages of Celery's protocol 1, whose body says what the headers of protocol 2 do.

Such a message is honoured whole, as if it had been sent in protocol 2, or refused
whole. See Celery's documentation, Message Protocol, Version 1.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tasks.errors import NotUnderstoodError

if TYPE_CHECKING:
    from worker.transport.delivery import Received

# What the body says under the name that the header has.
SAME_NAMES = ("task", "id", "eta", "expires", "retries", "timelimit")


def translate(delivery: Received) -> None:
    """Write a message of protocol 1 anew as one of protocol 2; leave any other as it is.

    Raises:
        NotUnderstoodError: It is neither, or asks for what cannot be honoured.
    """
    message, headers = delivery.message, delivery.headers()
    if "task" in headers:
        return
    said = _read(message.body)
    if not isinstance(said, dict) or "task" not in said:
        raise NotUnderstoodError("it has no task name: send it with a Celery client")
    if said.get("utc") is False and (said.get("eta") or said.get("expires")):
        raise NotUnderstoodError("its times are in a time zone that it does not name: send UTC")
    embedded = {name: said.get(name) for name in ("callbacks", "errbacks", "chord")}
    message.headers = {**headers, **{name: said.get(name) for name in SAME_NAMES}}
    message.body = json.dumps([said.get("args") or [], said.get("kwargs") or {}, embedded])


def _read(body: Any) -> Any:
    try:
        return json.loads(body)
    except (TypeError, ValueError, RecursionError):
        return None
