"""A load on the HTTP door: clients that repeat a request until it is answered."""

from __future__ import annotations

import json
import threading
import time
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from tests.gateway import BATCH, JSON, ask
from tests.service import PATIENCE_SECONDS

if TYPE_CHECKING:
    import random

    from tests.gateway import Gateways

    Updates = list[dict[str, str]]


class HttpLoad(threading.Thread):
    """One client, which sends its messages one after the other over one connection.

    A request that is not answered, or with 503, is sent again under its key, to
    the gateway that was started last.
    """

    def __init__(self, gateways: Gateways, messages: dict[str, Updates]) -> None:
        super().__init__(daemon=True)
        self.gateways, self.messages = gateways, messages
        self.answers: dict[str, list[dict[str, Any]]] = {}
        self.unexpected: list[Any] = []

    def run(self) -> None:
        """Send all of it."""
        connection: HTTPConnection | None = None
        for key, updates in self.messages.items():
            deadline = time.monotonic() + PATIENCE_SECONDS
            while key not in self.answers and time.monotonic() < deadline:
                connection = connection or self.gateways.started[-1].connect()
                try:
                    answer = ask(
                        *(connection, "PATCH", BATCH, json.dumps(updates)),
                        {**JSON, "Idempotency-Key": key},
                    )
                except (OSError, HTTPException):
                    connection.close()
                    connection = None
                    time.sleep(0.05)
                    continue
                if answer.status == 200:
                    self.answers[key] = answer.json
                elif answer.status == 503:
                    time.sleep(0.05)
                else:
                    self.unexpected.append(answer)
                    break
        if connection is not None:
            connection.close()


def overlapping(
    name: str, messages: int, ids: list[str], chance: random.Random
) -> dict[str, Updates]:
    """Make messages of one to ten updates each, of any of some events, which contradict others."""
    return {
        f"{name}-{number}": [
            {"id": id_, "status": chance.choice(["completed", "failed"])}
            for id_ in chance.sample(ids, chance.randint(1, 10))
        ]
        for number in range(messages)
    }
