"""One caller's way to a gateway, over httpx: does what a core asks for, and decides nothing."""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from settle_client.errors import BelongsElsewhereError
from settle_client.http.exchange import Answer, Ask, Open
from settle_client.http.transport import answer_of, be_patient, is_stream, made, translated
from settle_client.steps import Pause

if TYPE_CHECKING:
    from collections.abc import Iterator


class Wire:
    """One caller's way to the gateway: a request at a time, or a stream."""

    def __init__(self, client: Any) -> None:
        self._client, self._process_id = client, os.getpid()
        self._response: Any = None
        self._pieces: Iterator[bytes] = iter(())

    def perform(self, step: Any) -> Any:
        """Do a step of a core."""
        if self._process_id != os.getpid():
            raise BelongsElsewhereError("this was begun before the fork: begin in the child, too")
        if isinstance(step, Pause):
            self.close()
            return time.sleep(step.seconds)
        with translated(self._client):
            if isinstance(step, Ask):
                return self._ask(step)
            return self._open(step) if isinstance(step, Open) else next(self._pieces, b"")

    def _ask(self, step: Ask) -> Answer:
        until = time.monotonic() + step.seconds
        request = made(self._client, step.request, step.silent_seconds)
        with closing(self._client.send(request, stream=True)) as response:
            return answer_of(response, b"".join(_in_time(response.iter_bytes(), until)))

    def _open(self, step: Open) -> Answer:
        self.close()
        request = made(self._client, step.request, step.seconds)
        self._response = self._client.send(request, stream=True)
        self._pieces = self._response.iter_bytes()
        be_patient(request, step.silent_seconds)
        if is_stream(self._response):
            return answer_of(self._response, b"")
        until = time.monotonic() + step.seconds
        return answer_of(self._response, b"".join(_in_time(self._pieces, until)))

    def close(self) -> None:
        """Close the stream that is open."""
        if self._response is not None and self._process_id == os.getpid():
            self._response.close()
            self._response = None


def _in_time(pieces: Iterator[bytes], until: float) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        if time.monotonic() > until:
            raise TimeoutError("the answer did not come to its end in time")
