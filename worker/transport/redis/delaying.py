"""What a channel fetched before its time: it waits in Redis, and no worker holds it.

Moved there in the step that takes it out of what is held, and back into the list that
it came from when it is due, by whichever worker looks first. The item is never changed
and never decoded: why it waits, and for how long, is not known here.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from worker.transport.redis.items import entry_tail
from worker.transport.redis.scripts import DELAY, DUE

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.transport.redis.fetch import Fetched, Source

# Of what is due, how much is moved in one step, and in how many steps, so that neither
# Redis nor the event loop is held up for long.
STEP = 500
RELEASE_STEPS = 10


class Delay(NamedTuple):
    """A message that is to wait, and what to do if Redis does not take it."""

    tag: str
    source: Source
    seconds: float
    otherwise: Callable[[], None]


class Delaying:
    """The part of a channel that delays; mixed into kombu's."""

    qos: Any
    run: Any
    key: Any
    active_queues: Any
    unacked_key: str
    unacked_index_key: str
    priority_steps: list[int]
    delayed_set: Callable[[str], str]
    retry_list: Callable[[str], str]
    _q_for_pri: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._delays: list[Delay] = []
        super().__init__(*args, **kwargs)

    def understand(self, fetched: Fetched) -> Any:
        """Return a fetched message, which knows the list it came from; None if it is set aside."""
        message = super().understand(fetched)  # type: ignore[misc]
        if message is not None:
            message.source = fetched.source
        return message

    def delay(
        self, tag: str, source: Source, seconds: float, otherwise: Callable[[], None]
    ) -> None:
        """Let Redis hold a message until it is due; done when what came with it is delivered.

        Args:
            tag: The one that it is held by.
            source: Where it came from.
            seconds: From now.
            otherwise: Called if Redis does not take it: it is held as before.
        """
        if source.tail:
            self._delays.append(Delay(tag, source, seconds, otherwise))
        else:
            # It was not recorded as held.
            otherwise()

    def move_delayed(self) -> None:
        """Move what was delayed, a queue's in one step."""
        delays, self._delays = self._delays, []
        for queue, some in groupby(delays, lambda delay: delay.source.queue):
            self._move(queue, list(some))

    def _move(self, queue: str, delays: list[Delay]) -> None:
        keys = [self.unacked_key, self.unacked_index_key, self.delayed_set(queue)]
        args: list[Any] = [entry_tail(queue)]
        for delay in delays:
            args += [delay.tag, delay.seconds, self.key(delay.source.list)]
        stay = {tag.decode() for tag in self.run(DELAY, keys, args)}
        self.qos.let_go(delay.tag for delay in delays if delay.tag not in stay)
        for delay in delays:
            if delay.tag in stay:
                delay.otherwise()

    def release_due(self) -> None:
        """Put what is due into the queues that are consumed from."""
        for queue in self.active_queues:
            lists = [self._q_for_pri(queue, priority) for priority in self.priority_steps]
            keys = [self.delayed_set(queue), *lists, self.retry_list(queue)]
            for _ in range(RELEASE_STEPS):
                if not self.run(DUE, keys, [STEP]):
                    break
