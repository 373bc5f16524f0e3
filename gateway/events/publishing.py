"""Outcomes that could not be published go out before anything else is applied.

The outcome of a committed update is published, even if the request that asked for it could not
be answered and nobody asks again. Until then nothing new is applied, which is
what bounds how much is kept here. What a killed process had kept is
published when its client repeats the request.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway import metrics
from tasks.errors import OutcomesNotPublishedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from settle_client.outcome import Outcome
    from tasks.publishing import DeadLetter, OutcomePublisher


logger = logging.getLogger(__name__)


class PatientPublisher:
    """The writing end of the result channel, for the threads of one process."""

    def __init__(self, publisher: OutcomePublisher) -> None:
        self._publisher = publisher
        self._kept: deque[tuple[Sequence[Outcome], Sequence[DeadLetter]]] = deque()
        self._catching_up = threading.Lock()
        # Why what is kept was not published when that was tried last.
        self.trouble = OutcomesNotPublishedError()
        metrics.UNPUBLISHED.set_function(self.__len__)

    def __len__(self) -> int:
        return sum(len(outcomes) for outcomes, _ in list(self._kept))

    def catch_up(self) -> None:
        """Publish what is kept.

        Raises:
            OutcomesNotPublishedError: The channel is still away, or another
                thread is finding out.
        """
        if not self._kept:
            return
        if not self._catching_up.acquire(blocking=False):
            raise OutcomesNotPublishedError
        try:
            self._publish_kept()
        finally:
            self._catching_up.release()

    def _publish_kept(self) -> None:
        while self._kept:
            try:
                self._publisher.publish(*self._kept[0])
            except OutcomesNotPublishedError as error:
                self.trouble = error
                self._kept[0] = _rest(*self._kept[0], error)
                raise
            self._kept.popleft()

    def publish(self, outcomes: Sequence[Outcome], letters: Sequence[DeadLetter]) -> None:
        """Publish outcomes, or keep them.

        Raises:
            OutcomesNotPublishedError: They are kept.
        """
        try:
            self._publisher.publish(outcomes, letters)
        except OutcomesNotPublishedError as error:
            self.trouble = error
            self._kept.append(_rest(outcomes, letters, error))
            raise

    def close(self) -> None:
        """Try once more, and say how much was left."""
        with suppress(OutcomesNotPublishedError), self._catching_up:
            self._publish_kept()
        if self._kept:
            logger.error("outcomes not published", extra={"outcomes": len(self)})


def _rest(
    outcomes: Sequence[Outcome], letters: Sequence[DeadLetter], error: OutcomesNotPublishedError
) -> tuple[Sequence[Outcome], Sequence[DeadLetter]]:
    """Return what is still to be published, so that nothing is published at every try."""
    return outcomes[error.outcomes :], letters[error.letters :]
