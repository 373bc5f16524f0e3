"""Redis behind sentinels: redis-py's way to ask them, with words that a person can read.

redis-py puts every option of every sentinel's client into the error that says that none
knows a primary, and what was raised is not in it. Imported where a URL asks for it.
"""

from __future__ import annotations

from typing import Any

from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004 - as redis-py has it
    TimeoutError,  # noqa: A004 - the same
)
from redis.sentinel import MasterNotFoundError, Sentinel

AWAY = (ConnectionError, TimeoutError)


class Asked:
    """What both faces have in common; mixed into redis-py's."""

    sentinels: list[Any]
    check_master_state: Any

    def _primary_in(self, masters: Any, name: str, sentinel: Any) -> Any:
        """Return where the primary is if a sentinel says so, and ask that one first from now on."""
        state = masters.get(name)
        if not state or not self.check_master_state(state, name):
            return None
        self.sentinels.sort(key=lambda one: one is not sentinel)
        return state["ip"], state["port"]


def _unknown(name: str, errors: list[Exception]) -> MasterNotFoundError:
    why = "; ".join(dict.fromkeys(map(_say, errors)))
    return MasterNotFoundError(
        f"no sentinel knows a primary named {name}" + (f": {why}" if why else "")
    )


def _say(error: Exception) -> str:
    # Its own words are about HELLO.
    is_login = isinstance(error, AuthenticationError)
    return "it wants another sentinel_password, or sentinel_username" if is_login else str(error)


class Sentinels(Asked, Sentinel):
    """Those who know which server is the primary."""

    def discover_master(self, service_name: str) -> Any:
        """Return where the primary is.

        Raises:
            MasterNotFoundError: None of them says; it has what was raised in place of that.
        """
        errors: list[Exception] = []
        for sentinel in list(self.sentinels):
            try:
                masters = sentinel.sentinel_masters()
            except AWAY as error:
                errors.append(error)
            else:
                if primary := self._primary_in(masters, service_name, sentinel):
                    return primary
        raise _unknown(service_name, errors)


class AsyncSentinels(Asked, AsyncSentinel):
    """The same for asyncio."""

    async def discover_master(self, service_name: str) -> Any:
        """Return where the primary is; see `Sentinels`."""
        errors: list[Exception] = []
        for sentinel in list(self.sentinels):
            try:
                masters = await sentinel.sentinel_masters()
            except AWAY as error:
                errors.append(error)
            else:
                if primary := self._primary_in(masters, service_name, sentinel):
                    return primary
        raise _unknown(service_name, errors)
