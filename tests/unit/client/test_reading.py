"""What is asked of the server, step by step, and when: no server, and a clock of the test's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from settle_client import Outcome, reading
from settle_client.steps import drive, iterate
from tests.stream import Server, outcome, stream

if TYPE_CHECKING:
    from collections.abc import Callable

STATUSES = ("completed", "failed")


def test_a_poll_asks_in_pieces_of_a_second() -> None:
    """Until its time is over; no connection is waited for longer."""
    server = Server()
    assert drive(reading.poll("7-0", 2.5, server.now), server) == []
    blocks = [command[4] for command in server.commands]
    assert blocks == [1000, 1000, 500]
    assert server.commands[0][-3:] == ("STREAMS", "event-outcomes", "7-0")


@pytest.mark.parametrize(
    "form", [lambda reply: reply, lambda reply: {reply[0][0]: reply[0][1]}], ids=["RESP2", "RESP3"]
)
def test_a_reply_is_understood_in_either_protocol(form: Callable[[Any], Any]) -> None:
    """A list of pairs, or a map."""
    server = Server(form(stream(outcome())))
    assert drive(reading.poll("0-0", 1), server) == [("1-0", outcome())]


def test_reading_goes_on_from_where_it_was() -> None:
    """However little or much comes at once."""
    server = Server(stream(outcome("a"), outcome("b")), None, stream(outcome("c"), first=3), None)
    coming = iterate(reading.read("0-0"), server)
    assert [next(coming).id for _ in range(3)] == ["a", "b", "c"]
    assert [command[-1] for command in server.commands] == ["0-0", "2-0", "2-0"]


def test_waiting_ends_in_time() -> None:
    """By the clock, with the number of those that are missing, and after those that came."""
    server = Server(stream(outcome("a"), outcome("b", "other")))
    came = iterate(reading.wait({"m": ["a", "b"]}, 3.0, "0-0", server.now), server)
    assert next(came).id == "a"
    with pytest.raises(TimeoutError, match="within 3 s for 1 of the updates"):
        next(came)
    assert server.time == 3.0


def test_waiting_reads_on_from_where_it_was() -> None:
    """Not what it has read before."""
    server = Server(stream(outcome("a")), stream(outcome("b", index=1), first=2))
    waited = reading.wait({"m": ["a", "b"]}, 3.0, "0-0", server.now)
    assert [one.id for one in iterate(waited, server)] == ["a", "b"]
    assert [command[-1] for command in server.commands] == ["0-0", "1-0"]


def test_two_updates_of_one_event_are_two_answers() -> None:
    """They are told apart by their place in the message, and a repeat by the same."""
    told = [outcome(index=0), outcome(index=0), outcome(index=1), outcome(index=0)]
    server = Server(stream(*told))
    waited = reading.wait({"m": ["ev_1", "ev_1"]}, 3.0, "0-0", server.now)
    assert [one.index for one in iterate(waited, server)] == [0, 1]


def test_an_outcome_of_an_older_worker_has_no_index() -> None:
    """It is read all the same, and told from others by what it says."""
    older = [msgspec.structs.replace(outcome(status=status), index=None) for status in STATUSES]
    lines = [one.to_json().replace(b'"index":null,', b"") for one in (*older, *older)]
    assert not any(b"index" in line for line in lines)
    read = [Outcome.from_json(line) for line in lines]
    assert read == [*older, *older]
    waited = reading.wait({"m": ["ev_1", "ev_1"]}, 3.0, "0-0", Server().now)
    server = Server(stream(*read))
    assert list(iterate(waited, server)) == older


LOST = ConnectionError("lost")


def test_a_reader_outlives_what_passes() -> None:
    """It goes on from where it was, after pauses that grow, on new connections."""
    server = Server(stream(outcome("a")), LOST, LOST, stream(outcome("b"), first=2), LOST, None)
    coming = iterate(reading.read("0-0"), server)
    assert [next(coming).id for _ in range(2)] == ["a", "b"]
    assert [command[-1] for command in server.commands] == ["0-0", "1-0", "1-0", "1-0"]
    assert server.pauses[1] > server.pauses[0]


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    """It may not be the one that is meant."""
    server = Server(LOST)
    with pytest.raises(ConnectionError, match="lost"):
        next(iterate(reading.read("0-0"), server))
    assert server.pauses == []


@pytest.mark.parametrize(
    "error", [RuntimeError("NOPERM"), ValueError("a bug")], ids=["a right", "a bug"]
)
def test_what_does_not_pass_is_not_waited_out(error: Exception) -> None:
    """Not even by who has read before."""
    server = Server(stream(outcome()), error)
    coming = iterate(reading.read("0-0"), server)
    next(coming)
    with pytest.raises(type(error)):
        next(coming)


def test_waiting_outlives_what_passes_in_time() -> None:
    """Also where the server does not answer at first."""
    server = Server(LOST, LOST, stream(outcome("a")))
    waited = reading.wait({"m": ["a"]}, 3.0, "0-0", server.now)
    assert [one.id for one in iterate(waited, server)] == ["a"]


def test_waiting_in_vain_says_what_the_trouble_was() -> None:
    """And ends in its time."""
    server = Server(*[LOST] * 50)
    with pytest.raises(TimeoutError, match="within 3 s for 1 of the updates: lost") as raised:
        next(iterate(reading.wait({"m": ["a"]}, 3.0, "0-0", server.now), server))
    assert raised.value.__cause__ is LOST
    assert server.time == pytest.approx(3.0)


def test_a_poll_in_vain_raises_what_the_trouble_was() -> None:
    """Nothing would say that there is nothing."""
    server = Server(*[LOST] * 50)
    with pytest.raises(ConnectionError, match="lost"):
        drive(reading.poll("0-0", 2.0, server.now), server)
    assert server.time == pytest.approx(2.0)


def test_the_end_of_the_stream_is_asked_for_again() -> None:
    """For a while."""
    server = Server(LOST, [("7-0", {})])
    assert drive(reading.position(server.now), server) == "7-0"
    server = Server(*[LOST] * 50)
    with pytest.raises(ConnectionError, match="lost"):
        drive(reading.position(server.now), server)


class Channel:
    """What a listener's connection does, and what is asked of it."""

    def __init__(self, *messages: Any) -> None:
        self.messages = list(messages)
        self.steps: list[str] = []

    def __call__(self, step: Any) -> Any:
        """Do it."""
        self.steps.append(type(step).__name__)
        if not isinstance(step, reading.Hear):
            return None
        message = self.messages.pop(0)
        if isinstance(message, Exception):
            raise message
        return message


PUBLISHED = {"type": "message", "data": outcome().to_json().decode()}


def test_a_listener_outlives_a_cut_connection() -> None:
    """Its face connects anew; what was published meanwhile is not heard."""
    channel = Channel(LOST, {"type": "subscribe", "data": 1}, PUBLISHED)
    assert next(iterate(reading.listen(), channel)) == outcome()
    assert channel.steps == ["Hear", "Pause", "Hear", "Hear"]


def test_a_silent_connection_is_asked_for_a_sign_of_life() -> None:
    """One that gives one is kept, for as long as nothing is published."""
    silence = [None] * 10
    channel = Channel(*silence, {"type": "pong", "data": ""}, *silence, PUBLISHED)
    assert next(iterate(reading.listen(), channel)) == outcome()
    assert channel.steps.count("Knock") == 2
    assert "Pause" not in channel.steps


def test_a_connection_that_gives_none_is_left() -> None:
    """Nobody else would notice that the other end is gone."""
    channel = Channel(*[None] * 20, PUBLISHED)
    assert next(iterate(reading.listen(), channel)) == outcome()
    assert channel.steps.count("Pause") == 1


@pytest.mark.parametrize(
    "message", [None, {"type": "subscribe", "data": 1}], ids=["nothing", "a confirmation"]
)
def test_what_is_no_message_is_not_heard(message: Any) -> None:
    """A listener is sent more than outcomes, and often nothing at all."""
    assert reading.heard(message) is None


def test_what_is_published_is_heard() -> None:
    """As the outcome that it is."""
    assert reading.heard(PUBLISHED) == outcome()
