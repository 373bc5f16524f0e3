"""Requests and their answers, and the steps in which a core asks a face for them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENT_STREAM = "text/event-stream"
JSON = {"Content-Type": "application/json"}


class Request(NamedTuple):
    """What is asked.

    Attributes:
        method: Of HTTP.
        path: With its query, and encoded.
        headers: Besides those of every request.
        body: JSON, None for no body.
        wait_seconds: For how long the gateway is asked to wait before it answers.
    """

    method: str
    path: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    wait_seconds: float = 0.0


class Answer(NamedTuple):
    """What came back; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """Return what the body is said to be."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Ask(NamedTuple):
    """A step: send a request and return its whole answer.

    What fails on the way is raised as an OSError: it may pass.

    Attributes:
        request: What is asked.
        silent_seconds: How long the gateway may say nothing.
        seconds: How long all of it may take.
    """

    request: Request
    silent_seconds: float
    seconds: float


class Open(NamedTuple):
    """A step: the same, but of a stream of events its head alone.

    The one that was opened before is closed.

    Attributes:
        request: What is asked.
        silent_seconds: How long nothing may come once it is open.
        seconds: How long the head may take.
    """

    request: Request
    silent_seconds: float
    seconds: float


class Take(NamedTuple):
    """A step: return what comes next of the stream that is open, nothing at its end."""
