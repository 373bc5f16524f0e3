"""A dead letter sent again: the parts of it that need the table, the broker or kombu.

It is gone only when the broker has said that it has the message.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cli.errors import say_of_broker
from cli.printable import printable
from settle_client.broker import make_queue
from settle_client.envelope import bulk
from settle_client.errors import SettleError
from settle_client.redis_server import names_redis
from tasks.replaying import Replay, replay_of
from tasks.settle import outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from db import Database
    from service.settings import Settings
    from settle_client.broker import Queue
    from settle_client.update import StatusUpdate
    from tasks.dead_letters import DeadLetters, KeptLetter

# A broker that is short of memory says nothing for as long as it is.
ANSWER_SECONDS = 10


def understand(letter: KeptLetter, settings: Settings) -> Replay:
    """Return what becomes of a letter by the rules of today.

    Raises:
        NotUnderstoodError: No update of it is valid.
    """
    return replay_of(letter, max_updates=settings.message_max_updates, expand=expand)


@contextmanager
def opened_queue(settings: Settings) -> Iterator[Queue]:
    """Give the way to the queue, on which nothing is waited for without end."""
    options = settings.broker_options
    if not names_redis(settings.broker_url):
        options = dict.fromkeys(("read_timeout", "write_timeout"), ANSWER_SECONDS)
    queue = make_queue(settings.named_broker_url, **options)
    try:
        yield queue
    finally:
        queue.close()


def send_again(letter: KeptLetter, replay: Replay, letters: DeadLetters, queue: Queue) -> None:
    """Send what is valid of a letter, and keep the rest in its place.

    Raises:
        SettleError: The broker has not said that it has it; the letter is kept.
    """
    # In this order: what is killed in between sends the same again.
    _send(replay, queue)
    letters.replace(letter, replay.rest)


def foresee(letter: KeptLetter, update: StatusUpdate, database: Database) -> str:
    """Say what would become of an update of a letter now."""
    row = database.read_events([update.id]).get(update.id)
    outcome, id_ = outcome_of(letter.message_id, update, row), printable(update.id)
    if outcome.updated:
        return f"{id_} was settled by this message"
    if row is not None and row.status is None and outcome.account_id is not None:
        return f"{id_} would be {update.status}"
    return f"{id_} would not be updated: {outcome.reason}"


def expand(body: bytes, compression: str) -> bytes:
    """Return a body that was compressed."""
    import kombu.compression  # noqa: PLC0415 - for the few letters that need it

    from worker.seams import decompression  # noqa: PLC0415 - the same

    decompression.install()
    registry: Any = kombu.compression
    return bytes(registry.decompress(body, compression))


def _send(replay: Replay, queue: Queue) -> None:
    envelope = bulk(replay.updates)._replace(message_id=replay.message_id)
    try:
        queue.push([envelope])
    except Exception as error:
        raise SettleError(say_of_broker(error)) from error
