"""A worker that kills itself at a named step: `python -m tests.faults.crashing …`.

Everything after the module's name is Celery's command line. CRASH_AT names the
step, CRASH_AT_TIME the how many-eth time it is reached. The service itself knows
nothing of this: the steps are wrapped here.
"""

from __future__ import annotations

import os
import signal
from functools import wraps
from itertools import count
from typing import TYPE_CHECKING, Any

import sqlalchemy
from celery.__main__ import main

import worker.applying.slots
import worker.understanding.intake
from service.connections import Service
from tasks.publishing import OutcomePublisher
from worker.acknowledging import Acknowledgements

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = (
    *("fetched", "understood", "batched", "locked", "committed"),
    *("published partly", "published", "acknowledged"),
)

AT = os.environ["CRASH_AT"]
TIME = int(os.environ["CRASH_AT_TIME"])
TIMES = count(1)


def crash_if(step: str) -> None:
    """Kill this process if this is the step and the time."""
    if step == AT and next(TIMES) == TIME:
        os.kill(os.getpid(), signal.SIGKILL)


def around(owner: Any, name: str, before: str = "", after: str = "") -> None:
    """Reach a step when a function is called, another when it returns."""
    function: Callable[..., Any] = getattr(owner, name)

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        crash_if(before)
        result = function(*args, **kwargs)
        crash_if(after)
        return result

    setattr(owner, name, wrapped)


def publish_half(publish: Callable[..., None]) -> Callable[..., None]:
    """Publish the first half, reach the step between, publish the rest."""

    @wraps(publish)
    def wrapped(self: Any, outcomes: Any, letters: Any = ()) -> None:
        if len(outcomes) > 1:
            half = len(outcomes) // 2
            publish(self, outcomes[:half], letters)
            crash_if("published partly")
            outcomes, letters = outcomes[half:], ()
        publish(self, outcomes, letters)

    return wrapped


# Plain messages on Redis, and any on RabbitMQ.
for read in ("read_plain", "receive"):
    around(worker.understanding.intake, read, before="fetched", after="understood")
around(worker.applying.slots, "job_of", after="batched")
# Called when the rows are locked and changed, before COMMIT is sent.
sqlalchemy.event.listen(sqlalchemy.Engine, "commit", lambda _: crash_if("locked"))
around(Service, "apply", after="committed")
OutcomePublisher.publish = publish_half(OutcomePublisher.publish)  # type: ignore[method-assign]
around(OutcomePublisher, "publish", after="published")
around(Acknowledgements, "acknowledge", after="acknowledged")

if __name__ == "__main__":
    main()
