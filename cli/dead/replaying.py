"""A dead letter sent again: the parts of it that need the table, kombu or Celery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.printable import printable
from settle_client.names import QUEUE, TASK
from tasks.replaying import Replay, replay_of
from tasks.settle import outcome_of

if TYPE_CHECKING:
    from db import Database
    from service.settings import Settings
    from settle_client.update import StatusUpdate
    from tasks.dead_letters import DeadLetters, KeptLetter


def understand(letter: KeptLetter, settings: Settings) -> Replay:
    """Return what becomes of a letter by the rules of today.

    Raises:
        NotUnderstoodError: No update of it is valid.
    """
    return replay_of(letter, max_updates=settings.message_max_updates, expand=expand)


def send_again(letter: KeptLetter, replay: Replay, letters: DeadLetters) -> None:
    """Send what is valid of a letter, and keep the rest in its place."""
    # In this order: what is killed in between sends the same again.
    send(replay)
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


def send(replay: Replay) -> None:
    """Send a letter again, as a message of its own."""
    from worker.celery import app  # noqa: PLC0415 - the slow import, for the slow part

    app.send_task(
        TASK,
        args=replay.arguments,
        task_id=replay.message_id,
        queue=QUEUE,
        ignore_result=True,
    )
