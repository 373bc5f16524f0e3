"""Steps that a core wants repeated beside its others, for the face that blocks: in a thread."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from settle_client.steps import drive

if TYPE_CHECKING:
    from collections.abc import Callable

    from settle_client.steps import Repeat


def begin(repeat: Repeat, perform: Callable[[Any], Any]) -> Callable[[], None]:
    """Begin to repeat, and return what ends it."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.wait(repeat.seconds):
            with suppress(Exception):
                drive(repeat.make_steps(), perform)

    threading.Thread(target=run, name="settle-repeat", daemon=True).start()
    return is_over.set
