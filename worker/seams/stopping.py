"""How a worker ends that does not come to an end by itself.

A slot may wait for a server that will never answer, and Celery waits for its
slots, and ignores a second SIGTERM. Here a stop takes its time and no more, and
the second signal is hard. What was held goes back to the queue before, or comes
back when its lease ends: nothing is lost by ending a process.
"""

from __future__ import annotations

import signal
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


@worker_shutting_down.connect
def _make_the_next_signal_hard(how: str = "", **_: Any) -> None:
    if signal.getsignal(signal.SIGTERM) is _stop_hard:
        # The next signal came before this was done about the first.
        _stop_hard(signal.SIGTERM, None)
    elif how == "Warm":
        signal.signal(signal.SIGTERM, _stop_hard)
        # Also where the consumer cannot be asked to stop, being in a slot itself: in a solo pool.
        end_after(load_settings().stop_timeout_seconds + GRACE_SECONDS)
    else:
        end_after(HARD_STOP_SECONDS)


def _stop_hard(*_: Any) -> None:
    state.should_terminate = EX_FAILURE
    end_after(HARD_STOP_SECONDS)
