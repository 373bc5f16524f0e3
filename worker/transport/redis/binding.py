"""By which exchange a queue is reached: kombu's tables, written also to a full Redis.

A worker declares its queues before it consumes. kombu's own way to remember them is
refused at the memory limit, so that a worker which starts then would never begin to
empty the queue that fills it. A table takes some bytes for each queue.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from worker.transport.redis.scripts import BIND, BIND_FOR_A_WHILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.transport.redis.scripts import Script


class Binding:
    """The part of a channel that declares queues; mixed into kombu's."""

    sep: str
    keyprefix_queue: str
    keyprefix_binding_permanent: str
    _expires: dict[str, int]
    _fanout_queues: dict[str, tuple[str, str]]
    typeof: Any
    run: Callable[[Script, list[str], list[Any]], Any]
    _create_client: Any

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        if queue in self._expires:
            # By way of `_refresh_binding`, which kombu's timers call as well.
            super()._queue_bind(exchange, routing_key, pattern, queue)  # type: ignore[misc]
            return
        if self.typeof(exchange).type == "fanout":
            self._fanout_queues[queue] = exchange, routing_key.replace("#", "*")
        tables = (self.keyprefix_queue, self.keyprefix_binding_permanent)
        member = self.sep.join([routing_key or "", pattern or "", queue or ""])
        self.run(BIND, [name % exchange for name in tables], [member])

    @cached_property
    def _refresh_binding(self) -> Any:
        return self._create_client().register_script(BIND_FOR_A_WHILE.text)
