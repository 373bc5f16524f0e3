"""A channel that fetches many messages at once, and delivers them one after the other.

kombu's two loops, the event loop and `drain_events`, call `_brpop_start` and
`_brpop_read`: here the first asks for a wait and a fetch in one write, and the
second reads the two replies, without blocking between them.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from contextlib import suppress
from itertools import takewhile
from queue import Empty
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from kombu.transport import redis as stock
from redis.exceptions import NoScriptError, OutOfMemoryError, RedisError

from worker.transport.redis.binding import Binding
from worker.transport.redis.delaying import Delaying
from worker.transport.redis.fanout import Fanout
from worker.transport.redis.fetch import Fetch, Fetched, Pace, Source, empty_reply, script_command
from worker.transport.redis.holding import Holding
from worker.transport.redis.items import entry_tail, was_with_a_dead_worker
from worker.transport.redis.keyspace import UNACKED, UNACKED_INDEX, WORKED_ON, Keyspace
from worker.transport.redis.leases import QoS
from worker.transport.redis.scripts import FETCH, SUSPECTS
from worker.transport.redis.setting_aside import SettingAside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = get_logger(__name__)

# How much longer than its wait the last fetch may take when a channel closes.
GRACE_SECONDS = 1.0


def _is_unsuspected(fetched: Fetched) -> bool:
    return not was_with_a_dead_worker(fetched.item)


def _count_nothing(_: int) -> None:
    """Stand in for whoever counts."""


class Channel(Holding, Delaying, SettingAside, Fanout, Binding, Keyspace, stock.Channel):
    """A channel that fetches many messages at once."""

    QoS = QoS
    # Without `ack_emulation`: a fetch without a record is what this replaces.
    from_transport_options: Any = (
        *(name for name in stock.Channel.from_transport_options if name != "ack_emulation"),
        *("delivery_limit", "lease_seconds", "lease_max_seconds"),
    )
    unacked_key = UNACKED
    unacked_index_key = UNACKED_INDEX
    worked_on_key = WORKED_ON
    unacked_restore_interval = 2
    unacked_restore_throttle = 1

    #: How many messages are fetched at once, at most.
    fetch_max = 1_000
    #: How long a worker may be silent before its messages go to others.
    lease_seconds = 30.0
    #: How long one message is worked on at most: a stuck slot must not hold it for ever.
    lease_max_seconds = 600

    #: Returns how many more messages there is room for, besides the prefetch count.
    room: Callable[[], int] | None = None
    #: Returns whether far more is held than there is room for: what came and is not
    #: delivered goes back then.
    is_overfull: Callable[[], bool] | None = None
    #: Is offered what came, before it is delivered one by one, and returns how many of
    #: the first it has taken. The others are offered again after the next delivery.
    take: Callable[[Iterable[Fetched]], int] | None = None
    #: Count leases that were renewed, and messages of dead workers that were put back.
    on_renewed: Callable[[int], None] = staticmethod(_count_nothing)
    on_restored: Callable[[int], None] = staticmethod(_count_nothing)

    _in_poll: Any = False
    _brpop_sent_at: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._receivers: dict[str, Callable[[Any], None]] = {}
        self._no_ack_queues: set[str] = set()
        self._tag_prefix, self._fetches = uuid.uuid4().hex, 0
        self._pace = Pace()
        self._fetch: Fetch | None = None
        self._fetched: deque[Fetched] = deque()
        self._script_is_cached = True
        super().__init__(*args, **kwargs)

    # -- for the consumer ----------------------------------------------------

    @property
    def more_waiting(self) -> bool:
        """Return whether the last fetch was full: more messages are waiting at the broker."""
        return self._pace.more_waiting

    # -- fetched: what kombu's two loops call ----------------------------------

    @property
    def fetch_is_under_way(self) -> bool:
        """Return whether something is being fetched, or is fetched and not yet delivered."""
        return bool(self._in_poll or self._fetched)

    def _new_fetch(self, queues: list[str]) -> Fetch:
        tails = {q: "" if q in self._no_ack_queues else entry_tail(q) for q in queues}
        self._fetches += 1
        return Fetch(
            suspects=[
                Source(self.retry_list(queue), queue, tail) for queue, tail in tails.items() if tail
            ],
            ready=[
                Source(self._q_for_pri(queue, priority), queue, tails[queue])
                for priority in self.priority_steps
                for queue in queues
            ],
            tag_prefix=f"{self._tag_prefix}-{self._fetches}-",
        )

    def _fetch_command(self, fetch: Fetch, limit: int) -> list[Any]:
        keys = [self.unacked_key, self.unacked_index_key, *fetch.lists]
        args = fetch.args(limit, busy=self.qos.busy)
        return script_command([*map(self.key, keys)], args, cached=self._script_is_cached)

    def _brpop_start(self, timeout: float | None = None) -> None:
        # Something is left only if a callback raised in the middle of a delivery.
        self._deliver()
        self.move_delayed()
        limit = self.qos.can_consume_max_estimate()
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues or not limit:
            return
        self._fetch = fetch = self._new_fetch(queues)
        timeout = self.brpop_timeout if timeout is None else timeout
        wait = self._pace.wait_command(
            [self.key(source.list) for source in fetch.ready],
            self.key(f"{self.unacked_key}.pause"),
            timeout or 0,
        )
        fetch.waits = bool(wait)
        commands = [command for command in (wait, self._fetch_command(fetch, limit)) if command]
        connection = self._in_poll = self.client.connection
        self._brpop_sent_at = time.monotonic()
        connection.send_packed_command(connection.pack_commands(commands))

    def _brpop_read(self, **options: Any) -> bool:
        connection, fetch = self.client.connection, self._fetch
        if not self._in_poll or fetch is None:
            # Nothing was asked for: the server has closed the connection.
            connection.disconnect()
            raise Empty
        try:
            reply = self._read(connection, fetch)
        except (*self.connection_errors, RedisError):
            connection.disconnect()
            self._in_poll = None
            raise
        self._in_poll = None
        self._flush_brpop_reauth()
        self._account(fetch, reply)
        if not self._fetched or self._closing:
            raise Empty
        self._deliver()
        self.move_delayed()
        return True

    def _read(self, connection: Any, fetch: Fetch) -> list[Any]:
        if fetch.waits:
            try:
                connection.read_response()
            except OutOfMemoryError:
                self._pace.pause = True
            fetch.waits = False
            if not connection.can_read(timeout=0):
                # The loop comes again when the second reply is here.
                raise Empty
        try:
            reply: list[Any] = connection.read_response()
        except NoScriptError:
            self._script_is_cached = False
            return empty_reply()
        self._script_is_cached = True
        return reply

    def _account(self, fetch: Fetch, reply: list[Any]) -> None:
        """Hold everything that came, before any of it is delivered."""
        came = fetch.read(reply)
        self.qos.hold(fetched.tag for fetched in came if fetched.tag)
        self._fetched.extend(came)
        self._pace.after(reply[0], found=bool(came), cached=self._script_is_cached)
        if came and reply[0] == SUSPECTS:
            self.qos.suspect = came[0].tag
        # Every queue gets its turn: to be emptied first, and to be waited for.
        for queue in dict.fromkeys(fetched.source.queue for fetched in came) or {
            fetch.ready[0].queue
        }:
            self._queue_cycle.rotate(queue)

    # -- delivered -----------------------------------------------------------

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any
    ) -> Any:
        """Consume from a queue."""
        self._receivers[queue] = callback
        (self._no_ack_queues.add if no_ack else self._no_ack_queues.discard)(queue)
        return super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)

    def _deliver(self) -> None:
        while self._fetched and not self.closed:
            if self._fetched[0].source.queue in self._active_queues:
                for _ in range(self._offer()):
                    self._fetched.popleft()
                if not self._fetched:
                    break
            if self.is_overfull is not None and self.is_overfull():
                self._return(list(self._fetched))
                break
            fetched = self._fetched.popleft()
            if fetched.source.queue not in self._active_queues:
                queue = fetched.source.queue
                self._return([fetched, *(f for f in self._fetched if f.source.queue == queue)])
                break
            self._deliver_one(fetched)
        if not self.closed:
            self.qos.look_away()

    def _offer(self) -> int:
        if self.take is None:
            return 0
        with self.qos.looking_at((fetched.tag for fetched in self._fetched), deaths=0):
            return self.take(takewhile(_is_unsuspected, self._fetched))

    def _deliver_one(self, fetched: Fetched) -> None:
        if fetched.tag and not _is_unsuspected(fetched):
            self.qos.look_closely(fetched.tag)
        with self.qos.looking_at([fetched.tag], deaths=1):
            message = self.understand(fetched)
            if message is not None:
                self._receivers[fetched.source.queue](message)

    def _return(self, returned: list[Fetched]) -> None:
        """Give back, in one step, what came and cannot be delivered."""
        gone = set(map(id, returned))
        self._fetched = deque(f for f in self._fetched if id(f) not in gone)
        self.qos.give_back([f.tag for f in returned if f.tag])
        for fetched in returned:
            if not fetched.tag:
                self.direct.rpush(self.key(fetched.source.list), fetched.item)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> Any:
        """Return one message, None if there is none."""
        fetch = self._new_fetch([queue])
        if no_ack:
            fetch.ready = [source._replace(tail="") for source in fetch.ready]
        fetch.suspects = []
        keys = [self.unacked_key, self.unacked_index_key, *fetch.lists]
        while True:
            came = fetch.read(self.run(FETCH, keys, fetch.args(1, busy=False)))
            self.qos.hold(fetched.tag for fetched in came if fetched.tag)
            message = self.understand(came[0]) if came else None
            if message is not None or not came:
                return message

    # -- closed --------------------------------------------------------------

    def close(self) -> None:
        """Give back what is held, and what is on its way; on a dead connection do nothing."""
        self._closing = True
        try:
            deadline = self.brpop_timeout + GRACE_SECONDS
            while self._in_poll and self._in_poll.can_read(timeout=deadline):
                with suppress(Empty):
                    self._brpop_read()
        except Exception as error:  # noqa: BLE001 - of a connection in any state of decay
            logger.debug("last fetch is lost until its lease ends", extra={"error": str(error)})
        self._in_poll = None
        if self._qos is not None:
            self._qos.restore_unacked_once()
        super().close()
