"""What a channel holds: accounted, acknowledged, renewed, given back.

Redis remembers every message that a worker holds, with the time until which it
is believed to be alive: a lease. A worker renews its leases; those of a dead one
end, and any other puts the messages back. They are kept under names of our own:
others on the same database, stock workers too, have theirs, and neither takes what
the other holds.

What a dead worker worked on is counted (`worker.transport.redis.working`); what merely
waited in it is not, nor what a living worker held whose connection was lost.

This is kombu's QoS of the Redis transport. What differs: recording is part of
the fetch, many messages are acknowledged or moved in one step, and no mutex is
needed, for a move compares before it takes.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from kombu.transport import redis, virtual

from worker.transport.redis.former import KEYS as FORMER_KEYS
from worker.transport.redis.former import Former
from worker.transport.redis.items import delivery_count, read_entry, redelivered
from worker.transport.redis.scripts import EXPIRED, LOOK_UP, MOVE
from worker.transport.redis.working import STEP, Working

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Seen = tuple[bytes, bytes, bytes | None]
    Place = Callable[[bytes], tuple[list[str], bytes]]

logger = get_logger(__name__)

# Steps of one sweep, so that the event loop is not held up for long.
SWEEP_STEPS = 10
# A lease is renewed when this part of it has gone by.
RENEWED_AFTER = 0.25

# What this process held when a connection was lost: the next one gives it back.
_left_behind: dict[str, None] = {}


class QoS(Working, redis.QoS):
    """What one channel holds."""

    def __init__(self, channel: Any, prefetch_count: int = 0) -> None:
        super().__init__(channel, prefetch_count)
        self.parked: set[str] = set()
        self.suspect = ""
        self._former = Former(channel)
        self._renewal_due = 0.0
        self._sweep_due = 0.0

    # -- room ----------------------------------------------------------------

    def can_consume(self) -> bool:
        """Return whether the event loop is to attend to the channel.

        A reply on its way is always read: what it brings is recorded as ours.
        """
        return bool(self.channel.fetch_is_under_way) or self.can_consume_max_estimate() > 0

    def can_consume_max_estimate(self) -> int:
        """Return how many messages may be fetched now."""
        if self.suspect in self._delivered and self.suspect not in self._dirty | self.parked:
            return 0
        most: int = self.channel.fetch_max
        allowed = super().can_consume_max_estimate()
        if allowed is not None:
            most = min(most, allowed)
        if self.channel.room is not None:
            most = min(most, self.channel.room())
        return max(most, 0)

    @property
    def busy(self) -> bool:
        """Return whether anything is held that is worked on."""
        self._flush()
        return any(tag not in self.parked for tag in self._delivered)

    # -- accounted -----------------------------------------------------------

    def hold(self, tags: Iterable[str]) -> None:
        """Account for what was fetched, before any of it is delivered."""
        self._flush()
        self._delivered.update(dict.fromkeys(tags))

    def append(self, message: Any, delivery_tag: str) -> None:
        """Remember the message of a tag; Redis knows of it since the fetch."""
        virtual.QoS.append(self, message, delivery_tag)

    # -- acknowledged --------------------------------------------------------

    def ack_many(self, tags: Iterable[str]) -> None:
        """Acknowledge messages in one round trip.

        Not in a transaction, which Redis refuses at its memory limit: if only
        the first half is done the message is acknowledged, and its index is
        tidied up when the lease ends.
        """
        tags = list(tags)
        if not tags or self._is_too_late(tags):
            return
        self.remove(tags)
        self.let_go(tags)

    def remove(self, tags: Sequence[str]) -> None:
        """Remove acknowledged messages from Redis."""
        with self.channel.direct.pipeline(transaction=False) as pipe:
            pipe.hdel(self.channel.key(self.unacked_key), *tags)
            pipe.zrem(self.channel.key(self.unacked_index_key), *tags)
            pipe.execute()

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge one message."""
        self.ack_many([delivery_tag])

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Drop a message, or give it back."""
        if not requeue:
            self.ack_many([delivery_tag])
        else:
            self.give_back([delivery_tag])

    def _is_too_late(self, tags: list[str]) -> bool:
        # What a closed channel held was given back, or its lease ends.
        closed = self.channel.closed or self.channel.connection is None
        if closed:
            logger.debug("too late to answer", extra={"messages": len(tags)})
        return bool(closed)

    def let_go(self, tags: list[str]) -> None:
        """Forget messages; from any thread, the consumer's own takes them out later."""
        for tag in tags:
            if tag in self._delivered:
                self._quick_ack(tag)

    # -- renewed -------------------------------------------------------------

    def housekeep(self) -> None:
        """Renew what is held, then restore what others held, if either is due."""
        now = time.monotonic()
        if now >= self._renewal_due:
            self._renewal_due = now + self.channel.lease_seconds * RENEWED_AFTER
            self.parked &= self._delivered.keys()
            self._renew(now)
        self.restore_visible()

    # -- given back ----------------------------------------------------------

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int = 1) -> None:
        """Put back what is held by nobody any more; kombu's timers call this often."""
        now = time.monotonic()
        if now < self._sweep_due or not self.channel.active_queues:
            return
        self._sweep_due = now + self.channel.unacked_restore_interval
        self._take_up()
        keys = [self.unacked_key, self.unacked_index_key, self.channel.worked_on_key]
        most, restored = num or STEP, self._sweep_former()
        for _ in range(SWEEP_STEPS):
            # The newest first: the oldest is then the next to be fetched.
            found = self.channel.run(EXPIRED, keys, [self.channel.lease_seconds, most])
            waited, worked_on = map(_entries, found)
            restored += self._move(waited, self._place_of_waiting)
            restored += self._move(worked_on, self._place_of_dead)
            if len(waited) + len(worked_on) < most:
                break
        if restored:
            logger.warning("messages of a dead worker restored", extra={"messages": restored})
            self.channel.on_restored(restored)

    def _sweep_former(self) -> int:
        queues = self.channel.active_queues
        found = _entries(self._former.ended(self.channel.lease_seconds, queues))
        return self._move(found[::-1], self._place_of_waiting, FORMER_KEYS)

    def _take_up(self) -> None:
        """Give back what was held over a connection that was lost: who held it lives."""
        for some in _steps(list(_left_behind)[::-1]):
            self.move(some, self._place_of_living)
            for tag in some:
                del _left_behind[tag]

    def give_back(self, tags: Iterable[str], *, died: bool = False) -> None:
        """Put back what is held; the next worker is to have it."""
        self._give_back(list(tags), self._place_of_dead if died else self._place_of_living)

    def _give_back(self, tags: list[str], place: Place) -> None:
        if not tags or self._is_too_late(tags):
            return
        for some in _steps(tags[::-1]):
            self.move(some, place)
        self.let_go(tags)

    def restore_unacked(self, client: Any = None) -> None:
        """Give back whatever is held; if Redis is away, it comes back when its lease ends."""
        self._flush()
        try:
            for deaths, place in self._places_by_deaths.items():
                held = [tag for tag in self._delivered if self._blamed.get(tag) == deaths]
                self._give_back(held, place)
        except Exception as error:  # noqa: BLE001 - of a connection in any state of decay
            fields = {"messages": len(self._delivered), "error": str(error)}
            logger.warning("messages come back later", extra=fields)
            _left_behind.update(self._delivered)
        self._delivered.clear()
        self._dirty.clear()

    def move(self, tags: list[str], place: Place) -> int:
        """Move what is held under some tags to where `place` says, in one step."""
        keys = [self.unacked_key, self.unacked_index_key]
        return self._move(_entries(self.channel.run(LOOK_UP, keys, tags)), place)

    def _move(self, seen: list[Seen], place: Place, keys: Sequence[str] = ()) -> int:
        if not seen:
            return 0
        numbers: dict[str, int] = {}
        args: list[Any] = []
        for tag, score, entry in seen:
            lists, item = place(entry) if entry is not None else ([], b"")
            sha = hashlib.sha1(entry, usedforsecurity=False).hexdigest() if entry else ""
            args += [tag, score, sha, item, len(lists)]
            args += [numbers.setdefault(name, len(numbers) + 1) for name in lists]
        places = keys or (self.unacked_key, self.unacked_index_key)
        moved: int = self.channel.run(MOVE, [*places, *numbers], args)
        return moved

    @property
    def _places_by_deaths(self) -> dict[int | None, Place]:
        # What was last given back is first to be fetched.
        return {1: self._place_of_dead, None: self._place_of_living, 0: self._place_of_waiting}

    def _place_of_living(self, entry: bytes) -> tuple[list[str], bytes]:
        return self._place_again(entry, deaths=None)

    def _place_of_waiting(self, entry: bytes) -> tuple[list[str], bytes]:
        return self._place_again(entry, deaths=0)

    def _place_of_dead(self, entry: bytes) -> tuple[list[str], bytes]:
        return self._place_again(entry, deaths=1)

    def _place_again(self, value: bytes, *, deaths: int | None) -> tuple[list[str], bytes]:
        entry = read_entry(value)
        if entry is None:
            return [self.channel.dead_list(self.unacked_key)], value
        try:
            item, message = redelivered(entry.item, deaths=deaths)
            return self.channel.lists_of(entry, message, delivery_count(message)), item
        except Exception:  # noqa: BLE001 - whatever is odd in it, its neighbours move all the same
            # As it is, where it is fetched alone: the fetch sets it aside.
            return [self.channel.retry_list(entry.routing_key)], entry.item


def _entries(reply: list[Any]) -> list[Seen]:
    return list(zip(reply[::3], reply[1::3], reply[2::3], strict=True))


def _steps(tags: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(tags), STEP):
        yield tags[start : start + STEP]
