"""How a worker is, for whoever watches: the part of Celery's worker that watches.

It starts before the consumer, so that a worker which waits for its broker can be
asked too, and after the pool, whose children are to have none of its threads.
The threads run beside the event loop and never in it: what has come to a stop
cannot say so itself.
"""

from __future__ import annotations

import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery import bootsteps
from celery.utils.log import get_logger

from service.exposition import Exposition
from service.settings import load_settings
from settle_client.names import QUEUE
from worker.telling.metrics import REGISTRY
from worker.telling.vitals import vitals
from worker.watching.gauges import load_of, look_up, snapshot
from worker.watching.judging import judge_live, judge_ready, longest_seconds
from worker.watching.pulse import Pulse
from worker.watching.reporting import Report
from worker.watching.sampling import SAMPLE_SECONDS, Sampler
from worker.watching.statefile import default_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker.watching.judging import Judgement

logger = get_logger(__name__)

TURN_SECONDS = 1.0
PULSE_SECONDS = 2.0


class Monitoring(bootsteps.StartStopStep):
    """Celery's worker has one."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        """Listen, if that is wanted."""
        super().__init__(worker, **kwargs)
        self._worker, self._began_at = worker, time.monotonic()
        self._settings = settings = load_settings()
        self._ended = threading.Event()
        self._exposition = self._listen() if settings.metrics_port else None
        path = Path(settings.health_file or default_path(worker.hostname))
        self._pulse = Pulse(path, worker.hostname, self._live, self._ready)
        self._report = Report(settings, vitals, snapshot)
        look_up(worker, vitals, self._live, self._ready)

    def _listen(self) -> Exposition:
        host, port = self._settings.metrics_host, self._settings.metrics_port
        try:
            probes = {"/livez": self._live, "/readyz": self._ready}
            return Exposition(host, port, REGISTRY, probes)
        except OSError as error:
            # A worker that nobody sees, or that another answers for, is worse than none.
            sys.exit(
                f"settle: SETTLE_METRICS_PORT: cannot listen on port {port} of {host}: "
                f"{error.strerror or error}"
            )

    def _live(self) -> Judgement:
        most = longest_seconds(self._settings.statement_timeout_seconds)
        return judge_live(vitals, time.monotonic(), most)

    def _ready(self) -> Judgement:
        return judge_ready(vitals)

    def start(self, worker: Any) -> None:
        """Begin to watch."""
        _turn()
        turn = _turn if worker.hub else partial(worker.consumer.call_soon, _turn)
        worker.timer.call_repeatedly(TURN_SECONDS, turn)
        sampler = Sampler(self._settings, vitals)
        self._repeat("pulse", PULSE_SECONDS, self._beat, self._pulse.end)
        self._repeat("sampler", SAMPLE_SECONDS, sampler.sample, sampler.close)
        if self._exposition is not None:
            self._exposition.start()
            logger.info(
                "Metrics are at port %d of %s",
                *(self._settings.metrics_port, self._settings.metrics_host),
            )

    def stop(self, worker: Any) -> None:
        """Watch no more."""
        self._ended.set()
        self._pulse.end()
        if self._exposition is not None:
            self._exposition.stop()

    terminate = stop

    def info(self, worker: Any) -> dict[str, Any]:
        """Return what `celery inspect stats` shows."""
        return {
            "settle": {
                "batch_max_updates": self._settings.batch_max_updates,
                "uptime_seconds": round(time.monotonic() - self._began_at, 6),
                "live_why": self._live().why,
                "ready_why": self._ready().why,
                **snapshot(),
            }
        }

    def _beat(self, now: float) -> None:
        """Leave word of what the consumer alone knows, then say how the worker is."""
        tasks = getattr(self._worker.consumer, "task_consumer", None)
        vitals.is_to_consume = QUEUE in self._worker.app.amqp.queues.consume_from
        vitals.consuming = bool(tasks and tasks.consuming_from(QUEUE))
        if vitals.consuming:
            vitals.stopped_because = ""
        if not load_of(self._worker).slots_taken:
            # Whoever has the batch now will know.
            vitals.failing = ""
        self._pulse.beat(now)
        self._report.beat(now, is_ready=self._ready().holds)

    def _repeat(
        self,
        name: str,
        seconds: float,
        function: Callable[[float], None],
        at_end: Callable[[], None],
    ) -> None:
        def run() -> None:
            while not self._ended.is_set():
                try:
                    function(time.monotonic())
                except Exception:
                    logger.exception("The %s failed", name)
                self._ended.wait(seconds)
            at_end()

        threading.Thread(target=run, name=name, daemon=True).start()


def _turn() -> None:
    vitals.turned_at = time.monotonic()
