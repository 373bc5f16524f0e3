"""Another application on the Redis that is our broker: stock Celery, with slow tasks."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from celery import Celery

from tests.service import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.service import Service

SHOP = """
import json, os, time
import pytest
from celery import Celery

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
app.conf.task_acks_late = True
app.conf.broker_transport_options = json.loads(os.environ["SHOP_OPTIONS"])


def note(what):
    with open(os.environ["SHOP_LOG"], "a") as log:
        log.write(what + "\\n")


@app.task(name="shop.ship")
def ship(parcel, seconds):
    note(f"begin {parcel}")
    time.sleep(seconds)
    note(f"end {parcel}")
"""


class Shop:
    """A stock Celery application on our broker."""

    def __init__(self, service: Service, folder: Path, **options: Any) -> None:
        folder.joinpath("shop.py").write_text(SHOP)
        self._notes = folder / "shipped"
        self._notes.touch()
        environment = {
            **os.environ,
            "SHOP_BROKER": service.redis_url,
            "SHOP_LOG": str(self._notes),
            "SHOP_OPTIONS": json.dumps(options),
            "PYTHONPATH": str(folder),
            "C_FORCE_ROOT": "1",
        }
        self.worker = Worker(
            folder / "shop.log",
            environment,
            *("-c", "2", "-P", "threads", "-n", "shop@%h"),
            app="shop",
        )
        self.worker.wait_for_log(" ready.")
        self.producer = Celery(broker=service.redis_url, set_as_current=False)

    def send(self, parcel: str, seconds: float = 0.0, **options: Any) -> None:
        """Send a task."""
        self.producer.send_task("shop.ship", args=[parcel, seconds], **options)

    def notes(self) -> Counter[str]:
        """Return what its tasks noted, and how often."""
        return Counter(self._notes.read_text().splitlines())

    def close(self) -> None:
        """Stop it."""
        self.worker.kill()
        self.producer.close()


@contextmanager
def shop_beside(service: Service, folder: Path, **options: Any) -> Iterator[Shop]:
    """Run the other application."""
    shop = Shop(service, folder, **options)
    try:
        yield shop
    finally:
        shop.close()
