"""Connections that are kept for looking at servers now and then: what waits, what is dead.

Workers ask every few seconds, for their metrics, and `settle top` by itself. Looks
only, and with few rights. What waits at a broker is the broker's to say.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import redis

from service.reaching import reach_redis
from settle_client.names import DEAD_LETTERS, OUTCOMES
from settle_client.standing import Standing, standing_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from service.settings import Settings

logger = logging.getLogger(__name__)


class Kept:
    """A connection that is made when needed and kept; one that has died is made anew."""

    def __init__(self, reach: Callable[[], AbstractContextManager[Any]]) -> None:
        self._reach = reach
        self._stack = ExitStack()
        self._server: Any = None

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Return the answer to a question, asked twice if the connection may have died since."""
        if self._server is not None:
            try:
                return question(self._server)
            except redis.ResponseError:
                raise
            except Exception:  # noqa: BLE001 - of a connection in any state of decay
                self.close()
        self._server = self._stack.enter_context(self._reach())
        return question(self._server)

    def close(self) -> None:
        """Close it, if there is one."""
        self._server = None
        try:
            self._stack.close()
        except Exception as error:  # noqa: BLE001 - the same
            logger.debug("A connection was dead: %s", error)


def result_channel_of(settings: Settings) -> Kept:
    """Return the way to the result channel."""
    return Kept(partial(reach_redis, settings.result_channel_url))


def dead_letters_kept(server: Any) -> int:
    """Return how many dead letters nobody has seen to."""
    return int(server.letters.xlen(DEAD_LETTERS))


def groups_standing(server: Any) -> dict[str, Standing]:
    """Return how far each consumer group of the outcomes is, and what it will never read."""
    try:
        stream = server.client.xinfo_stream(OUTCOMES)
    except redis.ResponseError as error:
        if "no such key" in str(error):
            return {}
        raise
    groups = server.client.xinfo_groups(OUTCOMES)
    return {group["name"]: standing_of(stream, group) for group in groups}
