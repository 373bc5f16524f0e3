"""Asks the broker, the result channel and every worker, once a poll.

Whatever is away, and however busy a worker is, a poll takes about a second, or a
few while a server's address does not even refuse. It sees what any client may
see, and changes nothing.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import redis

from cli.doctor.examination import say
from cli.doctor.workers import ask_each
from cli.top.view import Answer, Poll
from service.backlog import Kept, dead_letters_kept, result_channel_of
from worker.transport.broker import broker_of

if TYPE_CHECKING:
    from service.settings import Settings


class Asker:
    """Keeps its connections from poll to poll."""

    def __init__(self, settings: Settings, app: Any) -> None:
        """Connect to nothing yet."""
        self._app = app
        broker = broker_of(settings.broker_url)
        self._options = dict(broker.onlooker_options)
        self._broker = Kept(partial(broker.reach, settings))
        self._count, self._count_delayed = broker.waiting, broker.delayed
        self._channel = result_channel_of(settings)
        self._is_one_server = settings.channel_is_on_broker

    def poll(self) -> Poll:
        """Ask them all."""
        notes: list[str] = []
        waiting: int | None = None
        delayed: int | None = None
        age: float | None = None
        answers: tuple[Answer, ...] = ()
        away = ""
        try:
            waiting, age = self._queue(notes)
            delayed = self._delayed(notes)
            answers = self._workers(notes)
        except Exception as error:  # noqa: BLE001 - of whatever library reaches it
            self._broker.close()
            away = say(error)
        # What is away is waited for once.
        dead = None if away and self._is_one_server else self._dead_letters(notes)
        return Poll(time.monotonic(), answers, waiting, age, dead, away, tuple(notes), delayed)

    def close(self) -> None:
        """Close every connection."""
        self._broker.close()
        self._channel.close()

    def _queue(self, notes: list[str]) -> tuple[int | None, float | None]:
        try:
            waiting, age = self._broker.ask(self._count)
        except redis.exceptions.ResponseError as error:
            # It answers, though not what was asked for: a right is missing, perhaps.
            notes.append(f"the queue could not be asked: {say(error)}")
            return None, None
        return int(waiting), None if math.isnan(age) else age

    def _delayed(self, notes: list[str]) -> int | None:
        try:
            return int(self._broker.ask(self._count_delayed))
        except redis.exceptions.ResponseError as error:
            notes.append(f"what is delayed could not be asked: {say(error)}")
            return None

    def _dead_letters(self, notes: list[str]) -> int | None:
        try:
            return int(self._channel.ask(dead_letters_kept))
        except Exception as error:  # noqa: BLE001 - the same
            self._channel.close()
            notes.append(f"the result channel could not be asked: {say(error)}")
            return None

    def _workers(self, notes: list[str]) -> tuple[Answer, ...]:
        # A connection a poll: one that is kept may have died unnoticed.
        with self._app.connection_for_write(transport_options=self._options) as connection:
            answers = ask_each(self._app, "stats", connection)
        of_settle = [
            (name, reply)
            for name, reply in answers
            if isinstance(reply, dict) and isinstance(reply.get("settle"), dict)
        ]
        for name, count in Counter(name for name, _ in of_settle).items():
            if count > 1:
                notes.append(f"{count} workers are named {name}: only one of them is listed")
        return tuple(
            Answer(name, reply.get("pid", 0), reply["settle"])
            for name, reply in sorted(dict(of_settle).items())
        )
