"""Whether updates can be settled, for whoever asks: asked of the servers at most once at a time.

Nobody is asked for a key here. An answer is given in time, also while a server gives none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from db import DatabaseError
from gateway.trouble_log import TroubleLog
from tasks.errors import OutcomesNotPublishedError

if TYPE_CHECKING:
    from gateway.publishing import PatientPublisher
    from service.connections import Service

# Less than whoever asks is likely to wait.
ANSWER_SECONDS = 3.0


class Health:
    """Of one process."""

    def __init__(self, service: Service, publisher: PatientPublisher) -> None:
        self._service, self._publisher = service, publisher
        self._checking: asyncio.Task[None] | None = None
        self._trouble = TroubleLog("healthy again")

    async def is_good(self) -> bool:
        """Return whether the database and the result channel do as they should."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.shield(self._check())
        except (DatabaseError, OutcomesNotPublishedError, TimeoutError) as error:
            self._trouble.note("not healthy", error)
            return False
        self._trouble.is_over()
        return True

    def _check(self) -> asyncio.Task[None]:
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(asyncio.to_thread(self._ask))
        return self._checking

    def _ask(self) -> None:
        self._service.check()
        if self._publisher:
            raise OutcomesNotPublishedError(f"{len(self._publisher)} outcomes wait for the channel")
