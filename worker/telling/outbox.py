"""What is said to whoever listens: published on a thread and a connection of its own.

Task events, heartbeats and answers to remote control only inform. A broker may be slow
to take them, or take nothing in for hours, as RabbitMQ while it is short of memory or
disk; then it does not even read from a connection that publishes. So none of it goes by
the consumer's connection or waits in its thread: it is put here, and what cannot be
sent is dropped. Nothing is confirmed, kept for later or tried twice.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any, NamedTuple

from celery.utils.log import get_logger
from kombu.messaging import Producer

from service.addresses import hide_password
from service.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = get_logger(__name__)

MOST_WAITING = 64
# Of messages whose task events are not written yet.
MOST_WAITING_BYTES = 16 * 2**20
# Less than any broker waits for a connection that says nothing.
IDLE_SECONDS = 5.0
CONNECT_AGAIN_SECONDS = 1.0
LAST_WORDS_SECONDS = 1.0


class Publication(NamedTuple):
    """Something to say.

    Attributes:
        how: What kombu's `Producer.publish` takes.
        more: Other bodies, to be published in the same way if somebody is there for the first.
        byte_count: How much memory these keep until they are made.
    """

    how: dict[str, Any]
    more: Iterable[Any] = ()
    byte_count: int = 0


NOTHING = Publication({})


class Outbox:
    """The publications of one process."""

    def __init__(
        self, connect: Callable[[], Any], reaches: Callable[[Any, dict[str, Any]], bool]
    ) -> None:
        """Connect to nothing yet.

        Args:
            connect: Returns a connection of kombu's, for this alone.
            reaches: Publishes by a producer; returns whether somebody may have been there.
        """
        self._connect, self._reaches = connect, reaches
        self._waiting: Queue[Publication | None] = Queue(MOST_WAITING)
        # Each is written by one thread: the consumer's, which alone has something to keep, and
        # that of this.
        self._bytes_put = self._bytes_taken = 0
        self._trouble = Trouble()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._is_blocked = self._hears = False

    def put(self, *, more: Iterable[Any] = (), byte_count: int = 0, **how: Any) -> None:
        """Publish something soon, unless too much waits already; from any thread.

        Args:
            more: See `Publication`.
            byte_count: The same.
            how: The same.
        """
        self._start()
        # However large, it may wait if little does.
        if byte_count and self._bytes_put - self._bytes_taken > MOST_WAITING_BYTES:
            self._note("too much waits")
            return
        try:
            self._waiting.put_nowait(Publication(how, more, byte_count))
        except Full:
            self._note("too much waits")
        else:
            if byte_count:
                self._bytes_put += byte_count

    def _start(self) -> None:
        # There may be too many threads just now; what is said next tries again.
        with self._starting, suppress(RuntimeError):
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="outbox", daemon=True)
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """Publish what waits, if that is a matter of a moment."""
        if self._thread is None:
            return
        with suppress(Full):
            self._waiting.put_nowait(None)
            self._thread.join(LAST_WORDS_SECONDS)

    # -- in its thread ---------------------------------------------------------

    def _run(self) -> None:
        publication: Publication | None = NOTHING
        while publication is not None:
            publication = self._take()
            if publication is None:
                return
            try:
                with self._connect() as connection:
                    publication = self._publish_all(connection, publication)
            except Exception as error:  # noqa: BLE001 - of whatever library reaches the broker
                self._note(hide_password(f"{type(error).__name__}: {error}"))
                time.sleep(CONNECT_AGAIN_SECONDS)

    def _take(self, timeout: float | None = None) -> Publication | None:
        taken = self._waiting.get(timeout=timeout)
        if taken is not None:
            self._bytes_taken += taken.byte_count
        return taken

    def _publish_all(self, connection: Any, publication: Publication) -> Publication | None:
        """Publish until nothing more comes; return what came last, None at the end."""
        self._listen(connection)
        producer: Any = Producer(connection.default_channel, auto_declare=False)
        more: Publication | None = publication
        while more is not None:
            self._publish(connection, producer, more)
            try:
                more = self._take(timeout=IDLE_SECONDS)
            except Empty:
                return NOTHING
        return None

    def _publish(self, connection: Any, producer: Any, publication: Publication) -> None:
        how, more, _ = publication
        if not self._is_open(connection):
            return
        if not more:
            producer.publish(**how)
        elif self._reaches(producer, how):
            for body in more:
                if self._is_open(connection):
                    producer.publish(**(how | {"body": body}))
        if not self._is_blocked:
            self._over()

    def _is_open(self, connection: Any) -> bool:
        self._hear(connection)
        if self._is_blocked:
            self._note("the broker takes nothing in: it is short of memory or disk")
        return not self._is_blocked

    def _listen(self, connection: Any) -> None:
        """Let RabbitMQ's driver say whether the broker reads what is published."""
        driver = connection.connection
        self._is_blocked, self._hears = False, hasattr(driver, "on_blocked")
        if self._hears:
            driver.on_blocked, driver.on_unblocked = self._on_blocked, self._on_unblocked

    def _on_blocked(self, _reason: str) -> None:
        self._is_blocked = True

    def _on_unblocked(self) -> None:
        self._is_blocked = False

    def _hear(self, connection: Any) -> None:
        if self._hears:
            with suppress(TimeoutError):
                connection.drain_events(timeout=0)

    def _note(self, why: str) -> None:
        if self._trouble.note(why, time.monotonic()):
            logger.warning("monitors are not told", extra={"error": why.partition("\n")[0]})

    def _over(self) -> None:
        if self._trouble.over(time.monotonic()) is not None:
            logger.log(self._trouble.level, "monitors are told again")
