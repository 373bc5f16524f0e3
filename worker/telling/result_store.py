"""Celery results: the outcomes of messages, for producers that call `AsyncResult.get()`.

They are a convenience beside the result channel. A thread of each process stores them,
and tries again for a while what cannot be stored. Who hands them over waits for that
thread while the backend serves, and no longer: so a message is not acknowledged before
its result is stored, unless the backend is away, for which nothing waits. What waits is
bounded in time and in bytes; what is too old, or too much, or alone refused, is given
up. Nothing here settles or publishes, and no failure of it is anybody else's.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from celery import current_app
from celery.backends.base import DisabledBackend
from celery.utils.log import get_logger

from service.addresses import hide_password
from service.settings import load_settings
from service.trouble import Trouble
from worker.seams.result_backend import most_together, store_together

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from worker.telling.results import Result

logger = get_logger(__name__)

# How long who hands results over waits for them, and after which silence for none.
HOLD_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 5.0
MAX_REFUSALS = 5
MAX_BYTES = 32 * 2**20
MAX_ERROR_CHARACTERS = 1_000


@dataclass(slots=True, eq=False)
class _Waiting:
    """A result, and how often it failed though others were stored since the last time."""

    result: Result
    byte_count: int
    give_up_at: float
    refusals: int = 0
    stored_before: int | None = None

    def is_hopeless(self, now: float) -> bool:
        """Return whether it is not to be tried again."""
        return self.give_up_at <= now or self.refusals >= MAX_REFUSALS

    def fail(self, stored: int) -> None:
        """Count a failure, so many results having been stored by now."""
        if self.stored_before is not None and stored > self.stored_before:
            self.refusals += 1
        self.stored_before = stored


class ResultStore:
    """The results of one process that are not stored yet."""

    def __init__(self, backend: Any, *, retry_seconds: float) -> None:
        """Have none.

        Args:
            backend: Celery's.
            retry_seconds: For how long a result is tried again.
        """
        self._backend, self._retry_seconds = backend, retry_seconds
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._added = self._ended = self._stored = 0
        self._together = 1
        self._serves, self._served_at = True, 0.0
        self._trouble, self._loss = Trouble(), Trouble()
        self._given_up = 0
        self._thread: threading.Thread | None = None

    def add(self, results: Iterable[Result], *, hold_seconds: float = HOLD_SECONDS) -> None:
        """Take results, and wait until they are stored if that takes no time to speak of.

        Args:
            results: In order.
            hold_seconds: How long to wait at most, while the backend serves.
        """
        now = time.monotonic()
        with self._changed:
            self._give_up_hopeless(now)
            if not self._waiting:
                self._served_at = now
            for result in results:
                self._append(_Waiting(result, result.byte_count, now + self._retry_seconds))
            self._give_up_too_much()
            self._start()
            self._changed.notify_all()
            target, until = self._added, now + hold_seconds
            while self._ended < target and (left := self._patience(until)) > 0:
                self._changed.wait(left)

    def _append(self, one: _Waiting) -> None:
        self._waiting.append(one)
        self._bytes += one.byte_count
        self._added += 1

    def _patience(self, until: float) -> float:
        if not self._serves:
            return 0.0
        return min(until, self._served_at + HOLD_SECONDS) - time.monotonic()

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="results", daemon=True)
            # There may be too many threads just now; the next results try again.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    # -- in the thread -----------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                some = list(islice(self._waiting, self._together))
            pause = self._try(some)
            if pause:
                time.sleep(pause)

    def _try(self, some: list[_Waiting]) -> float:
        """Try to store results, and return how long to pause."""
        try:
            store_together(self._backend, [one.result.to_store() for one in some])
        except Exception as error:  # noqa: BLE001 - whatever a backend raises, it holds up nothing
            alone, self._together = len(some) == 1, 1
            # Any of them may be to blame: the first is tried by itself.
            return self._on_failure(some[0], error) if alone else 0.0
        self._on_success(some)
        return 0.0

    def _on_success(self, some: list[_Waiting]) -> None:
        self._together = min(2 * self._together, most_together(self._backend))
        with self._changed:
            self._serves, self._served_at = True, time.monotonic()
            self._stored += len(some)
            for one in some:
                self._remove(one)
            self._changed.notify_all()
        lasted = self._trouble.over(time.monotonic())
        if lasted is not None:
            fields = {"seconds": round(lasted, 1), "given_up": self._given_up}
            logger.log(self._trouble.level, "results are stored again", extra=fields)
            self._given_up = 0

    def _on_failure(self, one: _Waiting, error: Exception) -> float:
        now = time.monotonic()
        with self._changed:
            self._serves = False
            one.fail(self._stored)
            # Another's turn: it may be this one that cannot be stored.
            if self._waiting and self._waiting[0] is one:
                self._waiting.rotate(-1)
            self._give_up_hopeless(now)
            self._changed.notify_all()
        if self._trouble.note(type(error).__name__, now):
            text = hide_password(f"{type(error).__name__}: {error}")[:MAX_ERROR_CHARACTERS]
            fields = {"error": text.partition("\n")[0], "waiting": len(self._waiting)}
            logger.warning("results are not stored", extra=fields)
        return min(FIRST_PAUSE_SECONDS * 2.0 ** min(self._trouble.tries, 16), MAX_PAUSE_SECONDS)

    # -- given up ------------------------------------------------------------------

    def _give_up_hopeless(self, now: float) -> None:
        """Give up what is too old, and what alone is refused again and again."""
        ends = (self._waiting[0], self._waiting[-1]) if self._waiting else ()
        if any(one.is_hopeless(now) for one in ends):
            self._give_up([one for one in self._waiting if one.is_hopeless(now)])

    def _give_up_too_much(self) -> None:
        excess = self._bytes - MAX_BYTES
        oldest: list[_Waiting] = []
        for each in self._waiting:
            if excess <= 0:
                break
            excess -= each.byte_count
            oldest.append(each)
        self._give_up(oldest)

    def _give_up(self, some: Sequence[_Waiting]) -> None:
        for one in some:
            self._remove(one)
        self._given_up += len(some)
        if some and self._loss.note("given up", time.monotonic()):
            logger.error("results are given up", extra={"results": self._given_up})

    def _remove(self, one: _Waiting) -> None:
        # It may have been given up while it was stored.
        for place, each in enumerate(self._waiting):
            if each is one:
                del self._waiting[place]
                self._bytes -= one.byte_count
                self._ended += 1
                return


_making = threading.Lock()


def result_store() -> ResultStore | None:
    """Return this process's store, None if there is no backend."""
    if isinstance(current_app.backend, DisabledBackend):
        return None
    with _making:
        return _store_of(os.getpid())


@cache
def _store_of(_process_id: int) -> ResultStore:
    return ResultStore(current_app.backend, retry_seconds=load_settings().result_retry_seconds)
