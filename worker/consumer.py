"""Celery's consumer, which loses nothing and stops cleanly.

Celery drops a message that it cannot read or has no task for, after a line in
its log; here such a message is handed to the strategy, which answers it. And
when the worker is asked to stop, what is held is finished first.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from celery.utils.log import get_logger
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer

from service.settings import load_settings
from service.watchdog import GRACE_SECONDS
from settle_client.names import QUEUE, TASK
from worker.batching.breaker import WAY_OUT
from worker.seams import delays, inspecting
from worker.seams.outage import outage
from worker.seams.prefork import remember_begun_jobs
from worker.seams.stopping import end_after
from worker.telling.vitals import vitals

if TYPE_CHECKING:
    from worker.strategy import BatchStrategy

logger = get_logger(__name__)

IDLE_SECONDS = 0.01
SHOUT_AGAIN_AFTER_SECONDS = 60.0


class Consumer(CeleryConsumer):
    """The consumer of the update queue."""

    Blueprint = delays.Blueprint

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inspecting.install(self)

    @property
    def strategy(self) -> BatchStrategy | None:
        """Return the strategy of the present connection, if there is one yet."""
        return getattr(self, "strategies", {}).get(TASK)

    def connect(self) -> Any:
        """Connect to the broker, however long that takes."""
        vitals.connecting = True
        connection = super().connect()
        vitals.connected(time.monotonic())
        return connection

    def create_task_handler(self, promise: Any = None) -> Any:
        """Begin to take messages: Celery calls this when it is connected.

        Celery's own handler looks into a message before it hands it on; what it finds
        there can end the process. Here nothing looks before the strategy does.
        """
        outage.over()
        return self._receive

    def _receive(self, message: Any) -> None:
        if self.strategy is not None:
            self.strategy.receive(message)

    def _update_prefetch_count(self, index: int = 0) -> None:
        """Let the strategy know that the pool grew or shrank; Celery calls this."""
        super()._update_prefetch_count(index)
        if self.strategy is not None:
            self.strategy.on_pool_resized()

    def reset_rate_limits(self) -> None:
        """Let the strategy know of another rate limit; Celery calls this, first at the start."""
        super().reset_rate_limits()
        if self.strategy is not None:
            self.strategy.on_rate_limit()

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Answer a message that cannot be decoded."""
        if self.strategy is not None:
            self.strategy.refuse(message, f"the message cannot be decoded: {exc}")

    def stop_consuming(self, why: str) -> None:
        """Leave the rest at the broker until somebody has seen to it, and go on saying so."""
        vitals.stopped_because = why
        names = [queue.name for queue in list(self.task_consumer.queues)]
        for name in names:
            self.cancel_task_queue(name)
        self._shout(why, names)

    def add_task_queue(self, queue: str, *args: Any, **options: Any) -> None:
        """Consume a queue; Celery calls this when an operator has said so."""
        super().add_task_queue(queue, *args, **options)
        if queue == QUEUE and vitals.stopped_because:
            vitals.stopped_because = ""
            logger.critical("messages are consumed again")
            if self.strategy is not None:
                self.strategy.on_resumed()

    def _shout(self, why: str, names: list[str]) -> None:
        if self.task_consumer and any(map(self.task_consumer.consuming_from, names)):
            return
        logger.critical("nothing is consumed any more", extra={"why": why, "advice": WAY_OUT})
        self.timer.call_after(SHOUT_AGAIN_AFTER_SECONDS, self._shout, (why, names))

    def on_close(self) -> None:
        """Forget what the lost connection delivered; the broker delivers it again."""
        if self.strategy is not None:
            self.strategy.abandon()
        remember_begun_jobs(self.pool)
        super().on_close()

    def close(self) -> None:
        """Finish what is held; Celery's worker calls this first when it stops warmly.

        The pool still works at that point, which it does not when the
        consumer's own steps are stopped.
        """
        strategy = self.strategy
        if strategy is None or self.task_consumer is None:
            return
        seconds = load_settings().stop_timeout_seconds
        deadline = time.monotonic() + seconds
        end_after(seconds + GRACE_SECONDS)
        try:
            self.task_consumer.cancel()
            strategy.stop()
            while strategy.busy and time.monotonic() < deadline and not state.should_terminate:
                self._turn()
        except (*self.connection_errors, *self.channel_errors) as error:
            logger.warning("broker went away while stopping", extra={"error": str(error)})
        if strategy.busy:
            logger.warning("not everything held could be finished; the rest goes back")
        strategy.abandon()

    def _turn(self) -> None:
        if self.hub:
            self.hub.run_once()
        else:
            self.perform_pending_operations()
            time.sleep(IDLE_SECONDS)
