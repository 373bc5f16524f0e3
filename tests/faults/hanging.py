"""A worker whose batches hang while a file is there: `python -m tests.faults.hanging …`.

Everything after the module's name is Celery's command line. HANGS_WHILE names the file.
All servers answer meanwhile, so nothing but the watch over its slots can find it out;
which has less patience here, for a test has no minute.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery.__main__ import main

from service.connections import Service
from worker.watching import judging

FILE = Path(os.environ["HANGS_WHILE"])
POLL_SECONDS = 0.05
judging.MARGIN_SECONDS = 2.0
apply = Service.apply


def hang(self: Service, *args: Any, **kwargs: Any) -> Any:
    """Apply a batch once the file is gone."""
    while FILE.exists():
        time.sleep(POLL_SECONDS)
    return apply(self, *args, **kwargs)


Service.apply = hang  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
