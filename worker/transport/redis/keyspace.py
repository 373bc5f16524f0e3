"""Where things are in Redis, and how to reach them.

Queues and bindings have the names that kombu gives them. What is held is kept as kombu
keeps it, under names of our own: what lies under kombu's, any stock worker puts back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from redis import Redis
from redis.exceptions import NoScriptError

from settle_client.names import QUEUE

if TYPE_CHECKING:
    from worker.transport.redis.items import Entry
    from worker.transport.redis.scripts import Script

UNACKED: Final = f"{QUEUE}.unacked"
UNACKED_INDEX: Final = f"{QUEUE}.unacked_index"
WORKED_ON: Final = f"{QUEUE}.worked_on"


class Keyspace:
    """The part of a channel that knows keys; mixed into kombu's."""

    global_keyprefix: str
    pool: Any
    _lookup: Any
    _q_for_pri: Any
    _get_message_priority: Any
    default_priority: int
    _direct: Redis | None = None

    @property
    def direct(self) -> Redis:
        """Return a client that takes keys as they are in Redis, which kombu's does not."""
        if self._direct is None or self._direct.connection_pool is not self.pool:
            provider = self.pool.connection_kwargs.get("credential_provider")
            self._direct = Redis(connection_pool=self.pool, credential_provider=provider)
        return self._direct

    def key(self, name: str) -> str:
        """Return the key of a name."""
        return f"{self.global_keyprefix}{name}"

    def run(self, script: Script, names: list[str], args: list[Any]) -> Any:
        """Run a script on the keys of some names."""
        keys_and_args = [*map(self.key, names), *args]
        try:
            return self.direct.evalsha(script.sha, len(names), *keys_and_args)
        except NoScriptError:
            return self.direct.eval(script.text, len(names), *keys_and_args)

    def dead_list(self, queue: str) -> str:
        """Return where messages are set aside if nobody else takes them."""
        return f"{queue}.dead"

    def retry_list(self, queue: str) -> str:
        """Return where messages are that are fetched alone."""
        return f"{queue}.retry"

    def delayed_set(self, queue: str) -> str:
        """Return where messages are that wait for their time, by when that is."""
        return f"{queue}.delayed"

    def lists_of(self, entry: Entry, message: dict[str, Any], count: int) -> list[str]:
        """Return where a held message goes back to, having been with so many dead workers."""
        queues = [queue for queue in self._lookup(entry.exchange, entry.routing_key) if queue]
        queues = queues or [entry.routing_key]
        if count > 1:
            return [self.retry_list(queue) for queue in queues]
        priority = self._priority_of(message)
        return [self._q_for_pri(queue, priority) for queue in queues]

    def _priority_of(self, message: dict[str, Any]) -> int:
        try:
            priority: int = self._get_message_priority(message, reverse=False)
        except OverflowError:
            # A number without end, which kombu does not look for.
            return self.default_priority
        return priority
