"""A dead letter, understood by the rules of today, and made a message that is new.

A letter has been answered: under the id that it had, another answer would look like a
repeat of that one. The new id follows from the letter and from what is sent of it, so
that a replay which was killed, and is made again, sends the same message again. Pure.
"""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from settle_client.update import StatusUpdate
from tasks.errors import NotUnderstoodError
from tasks.messages import InvalidUpdate, Message, read_message, understand
from tasks.publishing import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tasks.dead_letters import KeptLetter

    # From a compressed body, and by what, to what it was.
    Expand = Callable[[bytes, str], bytes]

NAMESPACE = uuid.UUID("5c1e6f0a-9d0b-5a53-8f5e-1f7a0c2d9b64")
# While it is understood: it may have had none.
ANY_ID = "replayed"


@dataclass(frozen=True, slots=True)
class Replay:
    """What becomes of a letter: a message of its own, and letters of what is not valid."""

    message_id: str
    updates: Sequence[StatusUpdate]
    rest: Sequence[DeadLetter]

    @property
    def arguments(self) -> list[Any]:
        """Return the arguments of the message."""
        return _arguments(self.updates)


def _arguments(updates: Sequence[StatusUpdate]) -> list[Any]:
    return [[update.to_dict() for update in updates]]


def replay_of(letter: KeptLetter, *, max_updates: int, expand: Expand) -> Replay:
    """Return what becomes of a letter.

    Args:
        letter: One update, or a whole message, also as it lay in the queue.
        max_updates: How many updates a message may carry.
        expand: Decompresses a body.

    Raises:
        NotUnderstoodError: No update of it is valid.
    """
    message = _understand(letter, max_updates, expand)
    updates = [update for update in message.updates if isinstance(update, StatusUpdate)]
    invalid = [
        (place, update)
        for place, update in enumerate(message.updates)
        if isinstance(update, InvalidUpdate)
    ]
    if not updates:
        raise NotUnderstoodError(invalid[0][1].error)
    name = json.dumps([letter.message_id, letter.entry, _arguments(updates)])
    return Replay(
        str(uuid.uuid5(NAMESPACE, name)),
        updates,
        [
            DeadLetter(letter.message_id, one.error, one.raw, letter.delivery, place)
            for place, one in invalid
        ],
    )


def _understand(letter: KeptLetter, max_updates: int, expand: Expand) -> Message:
    try:
        raw = json.loads(letter.raw)
    except (ValueError, RecursionError) as error:
        raise NotUnderstoodError(f"what was kept is not JSON: {error}") from error
    if not _is_message(raw):
        return understand(ANY_ID, [[raw]], {}, max_updates=max_updates)
    body = _body(raw, expand)
    match _decode(body):
        case {"task": _, **said}:
            # Of Celery's protocol 1, whose body says all.
            args, kwargs = said.get("args") or [], said.get("kwargs") or {}
            return understand(ANY_ID, args, kwargs, max_updates=max_updates)
    return read_message(ANY_ID, body, max_updates=max_updates)


def _is_message(raw: Any) -> bool:
    """Return whether it is a whole message: an update may have any other field besides its own."""
    parts = {"headers", "properties", "body"}
    return isinstance(raw, dict) and parts <= raw.keys() and not {"id", "status"} & raw.keys()


def _body(raw: dict[str, Any], expand: Expand) -> bytes | str:
    if "body-bytes" in raw:
        raise NotUnderstoodError(f"of its {raw['body-bytes']:,} bytes only the first were kept")
    body = raw["body"]
    if not isinstance(body, str):
        raise NotUnderstoodError("it has no body")
    match _decode(body):
        # As it lay in the queue: its workers died, or it was no message.
        case {"body": str(inner), "properties": dict(properties), **rest}:
            return _body_of_item(inner, properties, rest.get("headers"), expand)
    return body


def _body_of_item(
    body: str, properties: dict[str, Any], headers: Any, expand: Expand
) -> bytes | str:
    try:
        is_base64 = properties.get("body_encoding") == "base64"
        decoded = base64.b64decode(body) if is_base64 else body.encode()
        compression = headers.get("compression") if isinstance(headers, dict) else None
        return expand(decoded, compression) if compression else decoded
    except Exception as error:
        raise NotUnderstoodError(f"its body cannot be decoded: {error!r}") from error


def _decode(body: bytes | str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
