"""Task events in JSON, as Celery's monitors read them; written when somebody is there to.

What happened to a batch is remembered as `Happened`, which costs next to nothing, and
written by whoever publishes it. It shows what the message shows of itself, cut where that
is long. Pure.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from settle_client.envelope import show_ids
from worker.transport.delivery import cut_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from worker.held import Held
    from worker.job import Done
    from worker.transport.delivery import Shown

# One publication: some 80 kB, and 113 kB as kombu writes it. Of 128 kB and more the C library may
# map each copy anew, page by page, which took longer than writing it.
TASK_EVENTS_AT_ONCE = 250
MAX_SHOWN_CHARACTERS = 1_024
# What is shown of arguments by a client that does not write it: JSON, as it came.
NOTHING = (b'""', b"null")
# What else is shown of a message that is not plain.
SHORT = ("root_id", "parent_id", "retries", "eta", "expires")

_encode = msgspec.json.Encoder(enc_hook=repr).encode


class Happened(NamedTuple):
    """The same thing, to several messages at once.

    Attributes:
        common: The fields that all the task events have in common.
        items: The messages.
        write: Returns for each of them what follows its id, empty if there is no task event.
    """

    common: dict[str, Any]
    items: Sequence[Held]
    write: Callable[[Sequence[Held]], Iterable[bytes]]


def bodies(happened: Iterable[Happened]) -> Iterator[bytes]:
    """Write task events, each time as many as belong into one message; the first alone.

    So whoever publishes the first, and learns that nobody was there, is spared the others.
    """
    texts = chain.from_iterable(map(_texts, happened))
    most = 1
    while some := list(islice(texts, most)):
        yield b"[" + b",".join(some) + b"]"
        most = TASK_EVENTS_AT_ONCE


def _texts(happened: Happened) -> Iterator[bytes]:
    common, items, write = happened
    beginning = _encode(common)[:-1] + b',"uuid":'
    for held, rest in zip(items, write(items), strict=True):
        # There is nothing that a monitor could know a message without id by.
        if rest and held.message.id:
            try:
                yield beginning + _encode(held.message.id) + rest
            except ValueError:
                # It cannot be shown.
                continue


# -- what follows the id ---------------------------------------------------------


def received(items: Iterable[Held]) -> Iterable[bytes]:
    """Show messages."""
    return map(_received, items)


def started(items: Sequence[Held]) -> Iterable[bytes]:
    """Say nothing more."""
    return [b"}"] * len(items)


def rejected(items: Sequence[Held]) -> Iterable[bytes]:
    """Say that messages come again."""
    return [b',"requeue":true}'] * len(items)


def revoked(items: Iterable[Held]) -> Iterable[bytes]:
    """Say whether messages have expired."""
    return [
        b',"expired":%s,"terminated":false,"signum":null}'
        % (b"true" if held.drop_reason == "expired" else b"false")
        for held in items
    ]


def succeeded(_: Iterable[Held], done: Done) -> Iterable[bytes]:
    """Say what became of messages, and how long it took."""
    runtime = sum(done.seconds.values())
    written = {
        one: b"" if one.failed else _rest({"result": one.text, "runtime": runtime})
        for one in done.summary.texts
    }
    return [written[one] for one in done.summary.results()]


def failed(_: Iterable[Held], done: Done) -> Iterable[bytes]:
    """Say what is wrong with messages."""
    written = {
        one: _rest({"exception": one.text, "traceback": ""}) if one.failed else b""
        for one in done.summary.texts
    }
    return [written[one] for one in done.summary.results()]


def _received(held: Held) -> bytes:
    shown = held.shown
    if shown is None or _size(shown) >= MAX_SHOWN_CHARACTERS:
        return _received_otherwise(held)
    parts = (
        *(b',"args":', _ids_in_json(held) if _says_nothing(shown) else shown.argsrepr),
        *(b',"kwargs":', shown.kwargsrepr),
        *(b',"root_id":', shown.root_id),
        *(b',"parent_id":', shown.parent_id),
        *(b',"retries":', shown.retries, b"}"),
    )
    return b"".join(parts)


def _received_otherwise(held: Held) -> bytes:
    headers = held.delivery.headers()
    args, kwargs = _cut(headers.get("argsrepr")), _cut(headers.get("kwargsrepr"))
    short = {name: _short(headers.get(name)) for name in SHORT}
    fields = {"args": args if args or kwargs else _ids(held), "kwargs": kwargs, "retries": 0}
    return _rest(fields | {name: value for name, value in short.items() if value is not None})


def _rest(fields: dict[str, Any]) -> bytes:
    """Write the last fields of a task event, empty if what somebody has sent cannot be shown."""
    try:
        return b"," + _encode(fields)[1:]
    except (ValueError, RecursionError):
        return b""


def _says_nothing(shown: Shown) -> bool:
    """Return whether a client has not written what is to be shown of its arguments."""
    return bytes(shown.kwargsrepr) in NOTHING and bytes(shown.argsrepr) in NOTHING


def _ids_in_json(held: Held) -> bytes:
    return _encode(_ids(held))


def _ids(held: Held) -> str:
    updates = [update for update in held.message.updates if update.id]
    return show_ids(updates)[:MAX_SHOWN_CHARACTERS] if updates else ""


def _size(shown: Shown) -> int:
    arguments = len(shown.argsrepr) + len(shown.kwargsrepr)
    return arguments + len(shown.root_id) + len(shown.parent_id) + len(shown.retries)


def _cut(text: Any) -> str:
    return text[:MAX_SHOWN_CHARACTERS] if isinstance(text, str) else ""


def _short(value: Any) -> Any:
    """Return an id, a time or a number, None in place of anything that is none."""
    return cut_text(value) if isinstance(value, str) else value if type(value) is int else None
