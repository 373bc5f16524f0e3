"""How a worker ends that does not come to an end by itself.

A slot may wait for a server that will never answer, and Celery waits for its
slots, and ignores a second SIGTERM. Here a stop takes its time and no more, and
the second signal is hard. What was held goes back to the queue before, or comes
back when its lease ends: nothing is lost by ending a process.

A signal is handled between any two instructions, those that handle another included.
So nothing here is looked at and changed in two steps, or waits for what may be held.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any

from celery.platforms import EX_FAILURE
from celery.signals import worker_shutting_down
from celery.utils.log import get_logger
from celery.worker import state

from service import watchdog
from service.settings import load_settings
from service.watchdog import GRACE_SECONDS

logger = get_logger(__name__)

HARD_STOP_SECONDS = 2.0


def end_after(seconds: float) -> None:
    """End this process after some seconds, should it still be there."""
    why = "a slot did not finish in time: the worker ends without it"
    watchdog.end_after(seconds, why, logger)


# In one step: which signal is the first.
_signals = itertools.count()

# Celery sends this in its handler, where a second signal would wait for the first for ever.
worker_shutting_down.lock = threading.RLock()


@worker_shutting_down.connect
def _bound(how: str = "", **_: Any) -> None:
    """Bound a stop; Celery sends this for every signal that it is given."""
    is_first = next(_signals) == 0
    if how == "Warm" and is_first:
        # Also where the consumer cannot be asked to stop, being in a slot itself: in a solo pool.
        end_after(load_settings().stop_timeout_seconds + GRACE_SECONDS)
        return
    if how == "Warm":
        state.should_terminate = EX_FAILURE
    end_after(HARD_STOP_SECONDS)
