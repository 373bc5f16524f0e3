"""Moves what is delayed to where RabbitMQ holds it: published with confirms, then acknowledged.

In a thread and on a connection of its own. A broker that takes nothing at the moment,
because it is short of memory or disk, blocks whoever publishes; it must not block who
consumes, or the queue would never become shorter. What is not confirmed stays with the
worker: a copy too many is answered as the first, a message too few would be lost.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from celery.utils.log import get_logger

from service.addresses import hide_password
from service.trouble import Trouble
from worker.transport.rabbitmq.copies import copy_of
from worker.transport.rabbitmq.delay_queues import route
from worker.transport.rabbitmq.publishing import Copy, Publishing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worker.transport.delivery import Delivery

logger = get_logger(__name__)

MOST_AT_ONCE = 1_000
# How long a connection is kept that nothing is published on: it has no heartbeat.
IDLE_SECONDS = 10.0


class Move(NamedTuple):
    """A message that is to wait, and what to do if it cannot."""

    delivery: Delivery
    due_at: float
    otherwise: Callable[[], None]


class Mover:
    """The moves of one connection."""

    def __init__(
        self, connect: Callable[..., Any], report: Callable[[list[Move], list[Move]], None]
    ) -> None:
        """Move nothing yet.

        Args:
            connect: Makes a connection of kombu's.
            report: Is told, in the thread, which moves were confirmed and which were not.
        """
        self._connect, self._report = connect, report
        self._moves: SimpleQueue[Move | None] = SimpleQueue()
        self._closed = False
        self._publishing: Publishing | None = None
        self._trouble = Trouble()

    def start(self) -> None:
        """Declare where messages wait, and move what is added."""
        threading.Thread(target=self._run, name="delays", daemon=True).start()

    def add(self, move: Move) -> None:
        """Move a message soon."""
        self._moves.put(move)

    def close(self) -> None:
        """Move nothing more; what was not reported by now never is."""
        self._closed = True
        self._moves.put(None)

    def _run(self) -> None:
        # What waits can be counted from now on, and finds its way back.
        self._publish([])
        while moves := self._next():
            moved, stay, copies = _copy(moves)
            if copies and not self._publish(copies):
                moved, stay = [], moves
            if not self._closed:
                self._report(moved, stay)
        self._close()

    def _next(self) -> list[Move]:
        """Return what is to be moved together, nothing at the end."""
        moves: list[Move] = []
        move = self._first()
        while move is not None:
            moves.append(move)
            if len(moves) == MOST_AT_ONCE:
                break
            try:
                move = self._moves.get_nowait()
            except Empty:
                break
        return [] if self._closed else moves

    def _first(self) -> Move | None:
        if self._publishing is not None:
            try:
                return self._moves.get(timeout=IDLE_SECONDS)
            except Empty:
                self._close()
        return self._moves.get()

    def _publish(self, copies: Sequence[Copy]) -> bool:
        try:
            if self._publishing is None:
                self._publishing = Publishing(self._connect)
            self._publishing.publish(copies)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is lost by it
            self._drop()
            if self._trouble.note(type(error).__name__, time.monotonic()):
                why = hide_password(str(error)) or type(error).__name__
                logger.warning("delayed messages stay in the worker", extra={"error": why})
            return False
        if self._trouble.over(time.monotonic()) is not None:
            text = "delayed messages are held by the broker again"
            logger.log(self._trouble.level, text)
        return True

    def _close(self) -> None:
        publishing, self._publishing = self._publishing, None
        if publishing is not None:
            publishing.close()

    def _drop(self) -> None:
        publishing, self._publishing = self._publishing, None
        if publishing is not None:
            publishing.drop()


def _copy(moves: list[Move]) -> tuple[list[Move], list[Move], list[Copy]]:
    """Return which can be copied, which cannot, and the copies."""
    can: list[Move] = []
    cannot: list[Move] = []
    copies = []
    for move in moves:
        try:
            message = copy_of(move.delivery.to_message(None))
        except Exception:  # noqa: BLE001 - of whatever its headers are
            cannot.append(move)
        else:
            can.append(move)
            copies.append(Copy(message, *route(move.due_at - time.monotonic())))
    return can, cannot, copies
