"""What is asked over HTTP, when again, and what answers mean: no server, and a test's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from settle_client.errors import (
    ConflictError,
    GoneError,
    NotAnsweredError,
    RefusedError,
    UnreadAnswerError,
)
from settle_client.event import Event
from settle_client.http import events, outcomes
from settle_client.http.exchange import Answer, Ask, Open, Request, Take
from settle_client.http.outcomes import Listener
from settle_client.http.problems import error_of
from settle_client.http.retrying import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Backoff,
    insist,
    retry_after,
)
from settle_client.http.server_sent_events import Parser, Said
from settle_client.outcome import encode_json
from settle_client.salvage import cut_elements
from settle_client.steps import Pause, drive, iterate

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = {"content-type": "application/json"}
STREAM = {"content-type": "text/event-stream; charset=utf-8"}
SENT = b"\xef\xbb\xbfretry: 1000\n\nid: 1-0\ndata: a\ndata:b\r\n\rid:2-0\r\n: life\n\n"
SENT += b"event: x\n\ndata: c"
SAID = [Said("1-0", "message", "a\nb"), Said("2-0", "message", None), Said("2-0", "x", None)]


class Script:
    """Answers steps in turn, and takes the time for which it is asked to wait."""

    def __init__(self, *replies: Any) -> None:
        self._replies: Iterator[Any] = iter(replies)
        self.asked: list[Ask | Open] = []
        self.pauses: list[float] = []
        self.time = 0.0

    def now(self) -> float:
        """Return the time."""
        return self.time

    def __call__(self, step: Any) -> Any:
        """Do a step."""
        if isinstance(step, Pause):
            self.pauses.append(step.seconds)
            self.time += step.seconds
            return None
        if not isinstance(step, Take):
            self.asked.append(step)
        reply = next(self._replies)
        if isinstance(reply, Exception):
            self.time += getattr(step, "silent_seconds", 0)
            raise reply
        return reply


def refusal(status: int, **headers: str) -> Answer:
    """Make an error as a gateway answers it."""
    body = encode_json({"error": "Words", "message": "why", "statusCode": status})
    return Answer(status, JSON | headers, body)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_events_are_read_in_pieces_of_any_size(size: int) -> None:
    """Whatever a line ends with, and nothing of what has not ended."""
    parser, said = Parser(), list[Said]()
    for place in range(0, len(SENT), size):
        said += parser.feed(SENT[place : place + size])
    assert said == SAID


def test_an_answer_is_returned_as_it_comes() -> None:
    """With no second request, and what it may take added to how long the gateway waits."""
    script = Script(answer := Answer(404, {}, b""))
    request = Request("GET", "/", wait_seconds=20)
    assert drive(insist(request, 30, script.now), script) == answer
    assert script.asked == [Ask(request, 30, 30)]
    assert script.pauses == []


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_passes_is_asked_again_later(status: int) -> None:
    """The same request, never sooner than it says."""
    script = Script(refusal(status, **{"retry-after": "3"}), ConnectionError(), answer())
    request = Request("PATCH", "/", {"Idempotency-Key": "m"})
    assert drive(insist(request, 30, script.now), script).status == 200
    assert all(step.request is request for step in script.asked)
    first, second = script.pauses
    assert 3 < first <= 3 + FIRST_PAUSE_SECONDS
    assert FIRST_PAUSE_SECONDS <= second <= 2 * FIRST_PAUSE_SECONDS


def answer(body: bytes = b"[]", **headers: str) -> Answer:
    """Make an answer that is a success."""
    return Answer(200, JSON | headers, body)


def test_nothing_is_waited_for_longer_than_is_said() -> None:
    """Not for a pause either: the last answer is the cause."""
    script = Script(ConnectionError("cut"), refusal(503, **{"retry-after": "60"}))
    with pytest.raises(NotAnsweredError, match="no answer within 30 s: 503 Words: why") as told:
        drive(insist(Request("GET", "/"), 30, script.now), script)
    assert len(script.pauses) == 1
    assert told.value.problem is not None
    assert told.value.problem.status_code == 503


def test_a_connection_that_hangs_leaves_time_for_others() -> None:
    """And all of them together end in time."""
    script = Script(*[TimeoutError("silent")] * 9)
    with pytest.raises(NotAnsweredError, match="no answer within 30 s: silent"):
        drive(insist(Request("GET", "/"), 30, script.now), script)
    assert len(script.asked) == 3
    assert script.time <= 30


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("7", 7, 7),
        ("", 0, 0),
        ("-1", 0, 0),
        ("soon", 0, 0),
        ("99999999999999999999", 0, 0),
        (format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True), 3_000, 3_600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    ],
    ids=["seconds", "none", "negative", "words", "far", "time", "past"],
)
def test_both_forms_of_retry_after(text: str, least: float, most: float) -> None:
    """Anything else is none."""
    assert least <= retry_after(Answer(503, {"retry-after": text}, b"")) <= most


def test_pauses_grow_and_differ() -> None:
    """Up to the longest, and begin anew."""
    least, most = (
        [backoff.pause() for _ in range(12)] for backoff in (Backoff(lambda: 0), Backoff(lambda: 1))
    )
    assert least == [pause / 2 for pause in most]
    assert most[:3] == [FIRST_PAUSE_SECONDS * n for n in (1, 2, 4)]
    assert most[-1] == LONGEST_PAUSE_SECONDS
    backoff = Backoff(lambda: 1)
    backoff.pause()
    backoff.reset()
    assert backoff.pause(10) == 10 + FIRST_PAUSE_SECONDS


def test_errors_are_of_their_kind() -> None:
    """With where to begin, if that is said."""
    conflict = error_of(refusal(409))
    assert isinstance(conflict, ConflictError)
    assert str(conflict) == "409 Words: why"
    gone = error_of(refusal(410, link='</v2/api/outcomes?after=7-0>; rel="next"'))
    assert isinstance(gone, GoneError)
    assert gone.begin == "7-0"
    unread = error_of(Answer(500, {"content-type": "text/html"}, b"<p>" + b"x" * 10_000))
    assert isinstance(unread, UnreadAnswerError)
    assert len(str(unread)) < 300


def test_a_list_is_followed_by_its_cursor_alone() -> None:
    """Wherever the link points to: filters and all are this client's."""
    event = Event("acct", None, "2026-01-01T00:00:00Z", "made", None, "ev_1", {})
    body = b"[" + event.to_json() + b"]"
    link = '<https://elsewhere/events?after=c%2B1&status=failed>; rel="next"'
    script = Script(answer(body, link=link), answer())
    listed = list(iterate(events.list_events({"status": "pending", "x": None}, 30), script))
    assert [one.id for one in listed] == ["ev_1"]
    paths = [step.request.path for step in script.asked]
    assert paths == [
        "/v2/api/events?status=pending",
        "/v2/api/events?status=pending&after=c%2B1",
    ]


def test_a_message_keeps_its_id_over_tries() -> None:
    """One is drawn for each call, and is in the error."""
    ids = []
    for _ in range(2):
        script = Script(ConnectionError("away"), refusal(500))
        with pytest.raises(RefusedError) as told:
            drive(events.settle({"id": "e", "status": "failed"}, None, 30), script)
        (sent,) = {step.request.headers["Idempotency-Key"] for step in script.asked}
        assert told.value.message_id == sent
        ids.append(sent)
    assert len(set(ids)) == 2


def test_who_listens_goes_on_from_the_last_id() -> None:
    """After whatever breaks; who has never had an answer is told so in time."""
    said = b"id: 1-0\n\n", b"id: 2-0\nda"
    script = Script(
        ConnectionError("refused"),
        *(Answer(200, STREAM, b""), *said, b""),
        refusal(503),
        *(Answer(200, STREAM, b""), b"id: 3-0\n\n"),
    )
    heard = iterate(Listener(None, {}, 100).listen(script.now), script)
    assert [next(heard) for _ in range(2)] == [("1-0", None), ("3-0", None)]
    places = [step.request.headers.get("Last-Event-ID") for step in script.asked]
    assert places == [None, None, "1-0", "1-0"]
    script = Script(*[ConnectionError("refused")] * 99)
    with pytest.raises(NotAnsweredError, match="no answer within 9 s: refused"):
        next(iterate(Listener(None, {}, 9).listen(script.now), script))


def test_elements_are_cut_out_of_an_array_that_cannot_be_read() -> None:
    """Whatever stands in them."""
    deep = "[" * 2_000 + "]" * 2_000
    elements = [f'{{"a": {deep}, "b": "],[\\""}}', "1", '"x,y"', "[]", "[[1, 2], {}]"]
    assert list(cut_elements(f" [ {' , '.join(elements)} ]")) == elements
    assert list(cut_elements("[]")) == []


def test_waiting_asks_as_often_as_it_is_told() -> None:
    """Until nothing is awaited, and gives each outcome once."""
    later = Answer(202, JSON | {"retry-after": "2"}, b'{"outcomes": [], "awaited": 1}')
    script = Script(later, later, answer(b'{"outcomes": [{"id": "ev_1"}], "awaited": 0}'))
    assert [one.id for one in iterate(outcomes.wait("m/1", 30, script.now), script)] == ["ev_1"]
    assert script.pauses == [2, 2]
    assert script.asked[0].request.path == "/v2/api/messages/m%2F1"
    script = Script(later, later)
    with pytest.raises(TimeoutError, match="no outcome for 1 of the updates within 2 s"):
        list(iterate(outcomes.wait("m", 2, script.now), script))
