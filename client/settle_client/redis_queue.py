"""The queue on Redis: a list, as kombu's transport has it; many messages in one command.

What is written is the same for both faces, which only send it. The queue is recorded
where kombu looks for those that are bound to an exchange, as a Celery client does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from settle_client.errors import SettleError
from settle_client.names import CLUSTER_PREFIX, QUEUE
from settle_client.redis_server import clients_of, names_cluster, open_client

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from settle_client.envelope import Envelope

# Of every queue, and of those that do not expire.
BINDINGS = f"_kombu.binding.{QUEUE}", f"_kombu.binding_permanent.{QUEUE}"
# Routing key, pattern, queue.
BINDING = f"{QUEUE}\x06\x16\x06\x16{QUEUE}"


# Less than any command may take.
WAIT_MILLISECONDS = 2_000


class NotReplicatedError(SettleError):
    """Redis has the messages, and too few of its replicas: they are sent again."""

    def __init__(self, reached: int, min_replicas: int) -> None:
        super().__init__(f"{reached} of {min_replicas} replicas have the messages")


class _Layout:
    """What to write, for a client of redis-py."""

    asynchronous: bool

    def __init__(
        self,
        url: str,
        *,
        global_keyprefix: str | None = None,
        min_replicas: int = 0,
        **options: Any,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: See `settle_client.redis_server`.
            global_keyprefix: What the keys of this queue begin with, as kombu has it; by
                default nothing, or on a cluster what puts all of them into one slot.
            min_replicas: How many replicas of the server must have a message, too.
            options: See `settle_client.redis_server`.

        Raises:
            AddressError: The URL or an option cannot be meant.
        """
        self._min_replicas = min_replicas
        if global_keyprefix is None:
            global_keyprefix = CLUSTER_PREFIX if names_cluster(url) else ""
        self._prefix = global_keyprefix
        key = self._prefix + QUEUE
        self._client = open_client(url, asynchronous=self.asynchronous, key=key, **options)
        self._is_bound = False

    def _batch(self, envelopes: Sequence[Envelope]) -> Any:
        """Return what is to go over one connection: who has written there may wait there."""
        batch = self._client.pipeline(transaction=False)
        for command in self._commands(envelopes):
            batch.execute_command(*command)
        batch.execute_command("WAIT", self._min_replicas, WAIT_MILLISECONDS)
        return batch

    def _check(self, answers: Sequence[Any]) -> None:
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        if answers[-1] < self._min_replicas:
            raise NotReplicatedError(answers[-1], self._min_replicas)

    def _commands(self, envelopes: Sequence[Envelope]) -> Iterator[tuple[Any, ...]]:
        if not self._is_bound:
            for bindings in BINDINGS:
                yield "SADD", self._prefix + bindings, BINDING
            self._is_bound = True
        yield "LPUSH", self._prefix + QUEUE, *(envelope.item() for envelope in envelopes)


class RedisQueue(_Layout):
    """The queue, for one thread."""

    asynchronous = False

    def push(self, envelopes: Sequence[Envelope]) -> None:
        """Put messages into the queue, in order.

        Raises:
            Exception: Of the driver; it is not known which of them the broker has.
        """
        try:
            if self._min_replicas:
                self._check(self._batch(envelopes).execute(raise_on_error=False))
                return
            for command in self._commands(envelopes):
                self._client.execute_command(*command)
        except BaseException:
            self._is_bound = False
            self._client.connection_pool.disconnect()
            raise

    def close(self) -> None:
        """Close the connections."""
        for client in clients_of(self._client):
            client.close()


class AsyncRedisQueue(_Layout):
    """The queue, for one task."""

    asynchronous = True

    async def push(self, envelopes: Sequence[Envelope]) -> None:
        """Put messages into the queue, in order.

        Raises:
            Exception: Of the driver; it is not known which of them the broker has.
        """
        try:
            if self._min_replicas:
                self._check(await self._batch(envelopes).execute(raise_on_error=False))
                return
            for command in self._commands(envelopes):
                await self._client.execute_command(*command)
        except BaseException:
            self._is_bound = False
            await self._client.connection_pool.disconnect()
            raise

    async def close(self) -> None:
        """Close the connections."""
        for client in clients_of(self._client):
            await client.aclose()
