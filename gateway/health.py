"""Whether updates can be settled, for whoever asks: asked of the servers at most once at a time.

Nobody is asked for a key here. An answer is given in time, also while a server gives none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import redis

from service.database_checks import ASK_DOCTOR
from service.fitness import Obstacle
from service.trouble_log import TroubleLog
from tasks.errors import OutcomesNotPublishedError

if TYPE_CHECKING:
    from gateway.events.publishing import PatientPublisher
    from service.connections import Service

# Less than whoever asks is likely to wait.
ANSWER_SECONDS = 3.0
CHANNEL_FIX = "start the result channel, or correct SETTLE_OUTCOME_URL or CELERY_BROKER_URL"
TOO_SLOW = Obstacle(f"no answer within {ANSWER_SECONDS:g} s", "see which server is busy or away")


class Health:
    """Of one process."""

    def __init__(self, service: Service, publisher: PatientPublisher) -> None:
        self._service, self._publisher = service, publisher
        self._checking: asyncio.Task[Obstacle | None] | None = None
        self._trouble = TroubleLog("healthy again")

    async def look(self) -> Obstacle | None:
        """Return what keeps updates from being settled and published, if anything does."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                obstacle = await asyncio.shield(self._check())
        except TimeoutError:
            obstacle = TOO_SLOW
        if obstacle is None:
            self._trouble.is_over()
        else:
            self._trouble.note("not healthy", obstacle.found, obstacle.fix)
        return obstacle

    def _check(self) -> asyncio.Task[Obstacle | None]:
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(asyncio.to_thread(self._ask))
        return self._checking

    def _ask(self) -> Obstacle | None:
        if (obstacle := self._service.fitness.look()) is not None:
            return obstacle
        try:
            self._service.publisher.check()
        except OutcomesNotPublishedError as error:
            return Obstacle(str(error), _fix_of(error))
        if self._publisher:
            trouble = self._publisher.trouble
            found = f"{len(self._publisher)} outcomes wait for the channel: {trouble}"
            return Obstacle(found, _fix_of(trouble))
        return None


def _fix_of(error: OutcomesNotPublishedError) -> str:
    # A server that answers is not away.
    answered = isinstance(error.__cause__, redis.ResponseError)
    return error.fix or (ASK_DOCTOR if answered else CHANNEL_FIX)
