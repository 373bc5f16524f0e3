"""What a worker says of itself while all is well: what it stands on, and now and then its counts.

Somebody who has started one is to see that it works, at the level at which Celery's log is by
default: `worker.seams.logs` lets these lines through there, and no line of each batch. Trouble is
said where it is found; while there is any, nothing here reassures anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger

from service.addresses import hide_password
from worker.seams.logs import STANDING

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.settings import Settings
    from worker.telling.vitals import Vitals

logger = get_logger(STANDING)

WORKING_SECONDS = 60.0
# An idle worker need not fill a log.
IDLE_SECONDS = 3_600.0


class Report:
    """The report of one worker."""

    def __init__(
        self, settings: Settings, vitals: Vitals, snapshot: Callable[[], dict[str, Any]]
    ) -> None:
        """Have said nothing yet.

        Args:
            settings: They name the servers.
            vitals: What is known of the worker.
            snapshot: Returns every metric, as `worker.watching.gauges` does.
        """
        self._settings, self._vitals, self._snapshot = settings, vitals, snapshot
        self._has_begun = False
        self._looked_at = self._said_at = 0.0
        self._updates: dict[str, int] = {}
        self._batches = 0

    def beat(self, now: float, *, is_ready: bool) -> None:
        """Say what there is to say.

        Args:
            now: In seconds, of any monotonic clock.
            is_ready: Whether the worker settles updates.
        """
        if not is_ready or not self._vitals.database:
            return
        if not self._has_begun:
            self._has_begun = True
            self._looked_at = self._said_at = now
            logger.info("worker is ready", extra=self._what_it_stands_on())
        elif now - self._looked_at >= WORKING_SECONDS:
            self._looked_at = now
            self._look(now)

    def _what_it_stands_on(self) -> dict[str, str]:
        settings = self._settings
        shown = {
            "broker": settings.broker_url,
            "result_channel": settings.result_channel_url,
            "results": settings.result_backend or "",
            "database": settings.database_url,
        }
        fields = {name: hide_password(url) for name, url in shown.items() if url}
        return {**fields, "found": self._vitals.database}

    def _look(self, now: float) -> None:
        found = self._snapshot()
        batches = sum(found["batches"].values())
        settled = {
            outcome: count - self._updates.get(outcome, 0)
            for outcome, count in found["updates"].items()
            if count > self._updates.get(outcome, 0)
        }
        fields = {
            "waiting": found["queue_messages"],
            "delayed": found["queue_delayed_messages"],
            "held": sum(found["held_updates"].values()),
            "dead_letters": found["dead_letters_kept"],
        }
        if settled or fields["waiting"] or fields["held"]:
            seconds, done = round(now - self._said_at), batches - self._batches
            counts = {"updates": sum(settled.values()), "outcomes": settled, "batches": done}
            logger.info("worker is at work", extra={"seconds": seconds, **counts, **fields})
        elif now - self._said_at >= IDLE_SECONDS:
            logger.info("worker is idle", extra=fields)
        else:
            return
        self._said_at, self._updates, self._batches = now, dict(found["updates"]), batches
