"""What is asked of the servers every few seconds: whether they answer, and how much waits.

In a thread of its own, on connections of its own, so that a server that does not
answer holds nothing up. PostgreSQL is asked only while no batch shows it anyway.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import redis
from celery.utils.log import get_logger

from db import Database
from service.addresses import hide_password, is_cluster
from service.backlog import Kept, dead_letters_kept, groups_standing, result_channel_of
from service.database_checks import START
from service.fitness import Fitness
from service.trouble import Trouble
from worker.telling import metrics
from worker.telling.vitals import with_fix
from worker.transport.broker import broker_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.finding import Finding
    from service.fitness import Obstacle
    from service.settings import Settings
    from settle_client.standing import Standing
    from worker.telling.vitals import Vitals

logger = get_logger(__name__)

SAMPLE_SECONDS = 5.0
# With no batch settled for so long PostgreSQL is asked by itself.
IDLE_SECONDS = 10.0
ANSWER_SECONDS = 3.0


class Sampler:
    """Asks the servers, and leaves word of what they say."""

    def __init__(self, settings: Settings, vitals: Vitals) -> None:
        """Connect to nothing yet."""
        self._vitals = vitals
        self._database = Database(
            settings.database_url, pool_size=1, statement_timeout_seconds=ANSWER_SECONDS
        )
        self._fitness = Fitness(self._database, settings.database_url)
        self._trouble, self._channel_trouble = Trouble(), Trouble()
        self._remarks: tuple[Finding, ...] = ()
        self._channel = result_channel_of(settings)
        # Of the broker's server Celery says whether it is away.
        url = settings.result_channel_url
        self._has_own_channel = not settings.channel_is_on_broker or is_cluster(url)
        self._failures: dict[str, str] = {}
        self._fixes = {
            "broker": "start it, or correct CELERY_BROKER_URL",
            "result_channel": f"start it, or correct {settings.result_channel_variable}",
        }
        broker = broker_of(settings.broker_url)
        self._broker = Kept(partial(broker.reach, settings))
        self._count, self._count_delayed = broker.waiting, broker.delayed
        for gauge in (
            metrics.QUEUE_MESSAGES,
            metrics.QUEUE_AGE_SECONDS,
            metrics.QUEUE_DELAYED,
            metrics.DEAD_LETTERS_KEPT,
            metrics.OUTCOMES_UNREAD,
            metrics.OUTCOMES_GONE,
        ):
            gauge.set(math.nan)

    def sample(self, now: float) -> None:
        """Ask them all.

        Args:
            now: In seconds, of the clock of the vitals.
        """
        waiting, age = self._ask("broker", self._broker, self._count) or (math.nan, math.nan)
        metrics.QUEUE_MESSAGES.set(waiting)
        metrics.QUEUE_AGE_SECONDS.set(age)
        # What is away is waited for once.
        delayed = None
        if not math.isnan(waiting):
            delayed = self._ask("broker", self._broker, self._count_delayed)
        metrics.QUEUE_DELAYED.set(math.nan if delayed is None else delayed)
        kept = self._ask("result_channel", self._channel, dead_letters_kept)
        metrics.DEAD_LETTERS_KEPT.set(math.nan if kept is None else kept)
        standings = self._ask("result_channel", self._channel, groups_standing)
        unread, gone = _together(standings)
        metrics.OUTCOMES_UNREAD.set(unread)
        metrics.OUTCOMES_GONE.set(gone)
        if self._has_own_channel:
            self._say_of_channel(now)
        vitals = self._vitals
        if vitals.failing or vitals.unfit or now - vitals.answered_at > IDLE_SECONDS:
            self._look_at_database(now)

    def close(self) -> None:
        """Close every connection."""
        self._broker.close()
        self._channel.close()
        self._database.close()

    def _ask(self, name: str, server: Kept, question: Callable[[Any], Any]) -> Any:
        failure, answer = "", None
        try:
            answer = server.ask(question)
        except redis.ResponseError as error:
            # It answers, though not what was asked for: a right is missing, perhaps.
            logger.debug("The %s says: %s", name, error)
        except Exception as error:  # noqa: BLE001 - of whatever library reaches it
            server.close()
            failure = hide_password(str(error)) or type(error).__name__
        self._failures[name] = failure
        self._vitals.hear(name, failure, self._fixes[name])
        return answer

    def _say_of_channel(self, now: float) -> None:
        """Say in the log when it goes and comes: while no batch needs it, nothing else does."""
        failure, trouble = self._failures["result_channel"], self._channel_trouble
        if failure and trouble.note("away", now):
            fields = {"error": failure, "fix": self._fixes["result_channel"]}
            logger.warning("result channel is away", extra=fields)
        elif not failure and (lasted := trouble.over(now)) is not None:
            seconds = {"seconds": round(lasted, 1)}
            logger.log(trouble.level, "result channel is back", extra=seconds)

    def _look_at_database(self, now: float) -> None:
        obstacle = self._fitness.look()
        self._vitals.database = self._fitness.found
        # For a moment, and not for as long as nothing happens.
        self._database.close()
        away, unfit = "", ""
        if obstacle is not None and obstacle.is_away:
            away = obstacle.found
        elif obstacle is not None:
            unfit = with_fix(obstacle.found, obstacle.fix)
        self._vitals.hear("database", away, START)
        self._vitals.unfit = unfit
        self._say(obstacle, now)

    def _say(self, obstacle: Obstacle | None, now: float) -> None:
        """Say in the log when it changes, and now and then."""
        if obstacle is not None and self._trouble.note(obstacle.found, now):
            fields = {"error": obstacle.found, "fix": obstacle.fix}
            logger.warning("database cannot be used", extra=fields)
        elif obstacle is None and (lasted := self._trouble.over(now)) is not None:
            seconds = {"seconds": round(lasted, 1)}
            logger.log(self._trouble.level, "database can be used again", extra=seconds)
        if self._fitness.remarks != self._remarks:
            self._remarks = self._fitness.remarks
            for each in self._remarks:
                fields = {"found": each.found, "fix": each.fix}
                logger.warning("database could be better", extra=fields)


def _together(standings: dict[str, Standing] | None) -> tuple[float, float]:
    """Return how far the last group is behind, and how much all of them have lost."""
    if standings is None:
        return math.nan, math.nan
    unread = [_or_nan(standing.unread) for standing in standings.values()]
    gone = [_or_nan(standing.gone) for standing in standings.values()]
    return (math.nan if any(map(math.isnan, unread)) else max(unread, default=0)), sum(gone)


def _or_nan(number: int | None) -> float:
    return math.nan if number is None else number
