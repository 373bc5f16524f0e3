"""Outcomes over HTTP, without the I/O: listened to, read by pages, waited for.

Who listens misses none: the id of what was given last is where the next stream begins, and
what is gone is an error. Outcomes may repeat: drop those whose `identity` was seen.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from settle_client.errors import GatewayError, NotAnsweredError
from settle_client.http import answers
from settle_client.http.events import check_message_id, path_part
from settle_client.http.exchange import EVENT_STREAM, Open, Request, Take
from settle_client.http.problems import LATER, error_from, error_of, unread
from settle_client.http.retrying import Backoff, insist, not_answered, retry_after
from settle_client.http.server_sent_events import Parser
from settle_client.outcome import Problem
from settle_client.patience import logger
from settle_client.salvage import read_outcome
from settle_client.steps import Given, Pause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from settle_client.http.exchange import Answer
    from settle_client.http.retrying import Clock, Steps
    from settle_client.http.server_sent_events import Said

OUTCOMES = "/v2/api/outcomes"
MESSAGES = "/v2/api/messages"
# Of these the stream goes on, or begins anew where it ended.
PASSING = frozenset({401, 503})
# Of a stream: three heartbeats, about.
SILENT_SECONDS = 45.0
STREAM_HEADERS = {"Accept": EVENT_STREAM, "Accept-Encoding": "identity"}


def path_of(**filters: str | int | Sequence[str] | None) -> str:
    """Return where outcomes are asked for."""
    given = {name: value for name, value in filters.items() if value is not None}
    return f"{OUTCOMES}?{urlencode(given, doseq=True)}" if given else OUTCOMES


def position(timeout_seconds: float) -> Steps[str]:
    """Find where the stream ends now."""
    answer = yield from insist(Request("GET", path_of(limit=1)), timeout_seconds)
    return answers.read_outcome_page(answer).after


def poll(
    since: str, wait_seconds: int, filters: Mapping[str, Any], timeout_seconds: float
) -> Steps[answers.OutcomePage]:
    """Read what the stream holds behind a position, waiting for it if it is nothing."""
    path = path_of(after=since, wait=wait_seconds, **filters)
    request = Request("GET", path, wait_seconds=wait_seconds)
    answer = yield from insist(request, timeout_seconds + wait_seconds)
    return answers.read_outcome_page(answer)


def wait(message_id: str, timeout_seconds: float, now: Clock = time.monotonic) -> Steps[None]:
    """Give each outcome of a message once, as they come.

    Raises:
        TimeoutError: Some have not come in time; it says how many.
    """
    request = Request("GET", f"{MESSAGES}/{path_part(check_message_id(message_id))}")
    deadline, seen, awaited = now() + timeout_seconds, set[Any](), ""
    while True:
        try:
            answer = yield from insist(request, max(deadline - now(), 0.001), now)
            state = answers.read_state(answer)
        except NotAnsweredError as error:
            what = f"{awaited or 'no answer'} within {timeout_seconds:g} s: {error.__cause__}"
            raise TimeoutError(what) from error
        except GatewayError as error:
            error.message_id = message_id
            raise
        for outcome in state.outcomes:
            if outcome.identity not in seen:
                seen.add(outcome.identity)
                if (yield Given(outcome)):
                    return
        if not state.awaited:
            return
        awaited = f"no outcome for {state.awaited:,} of the updates"
        if (left := deadline - now()) <= 0:
            raise TimeoutError(f"{awaited} within {timeout_seconds:g} s")
        yield Pause(min(max(retry_after(answer), 0.1), left))


class Listener:
    """Somebody who listens, and where they are."""

    def __init__(
        self, since: str | None, filters: Mapping[str, Any], timeout_seconds: float
    ) -> None:
        """Begin nothing yet.

        Args:
            since: A position, `oldest`, or None for from now on.
            filters: Which outcomes, by the names of the parameters.
            timeout_seconds: How long the first answer is waited for; then, any.
        """
        self._position, self._path = since, path_of(**filters)
        self._timeout_seconds = timeout_seconds
        self._backoff = Backoff()
        self._trouble = ""

    def listen(self, now: Clock = time.monotonic) -> Steps[None]:
        """Give positions, each with the outcome that is there, or None.

        Raises:
            GatewayError: What does not pass; see `GoneError`.
            NotAnsweredError: There was no first answer in time.
        """
        deadline, has_begun = now() + self._timeout_seconds, False
        while True:
            least = 0.0
            trouble: Exception = ConnectionError("the stream has ended")
            left = SILENT_SECONDS if has_begun else max(deadline - now(), 0.001)
            try:
                answer = yield Open(self._request(), SILENT_SECONDS, min(left, SILENT_SECONDS))
                if answer.status in LATER:
                    least, trouble = retry_after(answer), error_of(answer)
                else:
                    _check(answer)
                    has_begun = True
                    if (yield from self._hear()):
                        return
            except OSError as error:
                trouble = error
            pause = self._backoff.pause(least)
            if not has_begun and now() + pause >= deadline:
                raise not_answered(self._timeout_seconds, trouble)
            self._note(trouble)
            yield Pause(pause)

    def _request(self) -> Request:
        place = {} if self._position is None else {"Last-Event-ID": self._position}
        return Request("GET", self._path, {**STREAM_HEADERS, **place})

    def _hear(self) -> Steps[bool]:
        """Give what one stream says, to its end; return whether the caller has left."""
        parser = Parser()
        while piece := (yield Take()):
            self._backoff.reset()
            for said in parser.feed(piece):
                self._position = said.position or self._position
                if said.kind == "problem":
                    self._judge(said)
                elif said.position and (yield Given(_step(said))):
                    return True
                else:
                    self._note(None)
        return False

    def _judge(self, said: Said) -> None:
        try:
            problem = msgspec.json.decode(said.data or "", type=Problem)
        except (ValueError, RecursionError) as error:
            raise GatewayError(f"a problem that cannot be read: {said.data}") from error
        if problem.status_code not in PASSING:
            raise error_from(problem, said.position or None)
        self._note(error_from(problem, None))

    def _note(self, trouble: Exception | None) -> None:
        """Say in the log where trouble begins, and where it is over."""
        if trouble and not self._trouble:
            logger().warning("outcomes are waited for: %s", trouble)
        elif self._trouble and not trouble:
            logger().warning("outcomes come again")
        self._trouble = str(trouble or "")


def _check(answer: Answer) -> None:
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's
        raise error_of(answer)
    if answer.content_type != EVENT_STREAM:
        raise unread(answer)


def _step(said: Said) -> tuple[str, Any]:
    return said.position, None if said.data is None else read_outcome(said.data)
