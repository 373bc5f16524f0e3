"""What is asked of the server, step by step, and when: no server, and a clock of the test's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from settle_client import Outcome, StatusUpdate, reading
from settle_client.steps import drive, iterate
from tasks.settle import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


STATUSES = ("completed", "failed")


class Server:
    """Answers commands from a script, and takes the time for which it is asked to block."""

    def __init__(self, *replies: Any) -> None:
        self.replies: Iterator[Any] = iter(replies)
        self.commands: list[tuple[Any, ...]] = []
        self.time = 0.0

    def now(self) -> float:
        """Return the time."""
        return self.time

    def __call__(self, command: tuple[Any, ...]) -> Any:
        """Answer."""
        self.commands.append(command)
        reply = next(self.replies, None)
        if reply is None and "BLOCK" in command:
            self.time += command[command.index("BLOCK") + 1] / 1000
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def names(self) -> list[str]:
        """Return what was asked, without arguments."""
        return [command[0] for command in self.commands]


def outcome(
    id_: str = "ev_1", message_id: str = "m", status: Any = "failed", index: int = 0
) -> Outcome:
    """Make an outcome."""
    return outcome_of(message_id, StatusUpdate(id=id_, status=status), None, index=index)


def entries(*outcomes: Outcome, first: int = 1) -> list[Any]:
    """Return entries of the stream."""
    numbered = enumerate(outcomes, first)
    return [(f"{number}-0", {"outcome": one.to_json().decode()}) for number, one in numbered]


def stream(*outcomes: Outcome, first: int = 1) -> Any:
    """Return a reply to XREAD."""
    return [["event-outcomes", entries(*outcomes, first=first)]]


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


def test_a_member_resumes_takes_over_and_goes_on() -> None:
    """Its own pending entries first, then others', then what is new; each acknowledged."""
    server = Server(
        *(True, stream(outcome("mine")), 1, None),
        *(["0-0", entries(outcome("theirs"), first=2), []], 1),
        *(stream(outcome("new"), first=3), 1),
    )
    followed = iterate(reading.follow("g", "one", 60, server.now), server)
    assert [next(followed).id for _ in range(3)] == ["mine", "theirs", "new"]
    followed.close()
    assert server.names == [
        *("XGROUP CREATE", "XREADGROUP", "XACK", "XREADGROUP", "XAUTOCLAIM", "XACK", "XREADGROUP")
    ]
    acknowledged = [command[3:] for command in server.commands if command[0] == "XACK"]
    # What was at hand when the loop was left is not.
    assert acknowledged == [("1-0",), ("2-0",)]


def test_a_member_resumes_in_as_many_steps_as_it_takes() -> None:
    """Each from where the last one ended, for what is acknowledged is not among the next."""
    server = Server(
        *(True, stream(outcome("a"), outcome("b")), 2, stream(outcome("c"), first=3), 1, None),
        *(["0-0", [], []], stream(outcome("new"), first=4)),
    )
    followed = iterate(reading.follow("g", "one", 60, server.now), server)
    assert [next(followed).id for _ in range(4)] == ["a", "b", "c", "new"]
    asked = [command[-1] for command in server.commands if command[0] == "XREADGROUP"]
    assert asked == ["0", "2-0", "3-0", ">"]


def test_leaving_acknowledges_what_was_handled() -> None:
    """All but the outcome at hand."""
    server = Server(True, None, ["0-0", [], []], stream(*map(outcome, "abcd")), 3)
    followed = iterate(reading.follow("g", "one", 60, server.now), server)
    assert [next(followed).id for _ in range(4)] == list("abcd")
    followed.close()
    assert server.commands[-1] == ("XACK", "event-outcomes", "g", "1-0", "2-0", "3-0")


def test_what_others_left_is_taken_over_again_and_again() -> None:
    """Whenever so much time has passed, and in as many steps as the server wants."""
    nothing = ["0-0", [], []]
    server = Server(True, None, ["5-0", [], []], nothing, None, None, nothing, stream(outcome()))
    followed = iterate(reading.follow("g", "one", 2.0, server.now), server)
    assert next(followed).id == "ev_1"
    claims = [command for command in server.commands if command[0] == "XAUTOCLAIM"]
    assert [command[5] for command in claims] == ["0-0", "5-0", "0-0"]
    assert {command[4] for command in claims} == {2000}


@pytest.mark.parametrize("error", ["BUSYGROUP Consumer Group name already exists", "NOPERM"])
def test_a_group_that_is_there_is_no_trouble(error: str) -> None:
    """Any other error is."""
    server = Server(RuntimeError(error), stream(outcome()))
    followed = iterate(reading.follow("g", "one", 60, server.now), server)
    if "BUSYGROUP" in error:
        assert next(followed).id == "ev_1"
    else:
        with pytest.raises(RuntimeError, match="NOPERM"):
            next(followed)


def test_a_lost_connection_is_the_callers_to_hear_of() -> None:
    """Nothing is acknowledged that was not handled."""
    server = Server(True, None, ["0-0", [], []], ConnectionError("lost"))
    followed = iterate(reading.follow("g", "one", 60, server.now), server)
    with pytest.raises(ConnectionError, match="lost"):
        next(followed)
    assert "XACK" not in server.names


@pytest.mark.parametrize(
    "message", [None, {"type": "subscribe", "data": 1}], ids=["nothing", "a confirmation"]
)
def test_what_is_no_message_is_not_heard(message: Any) -> None:
    """A listener is sent more than outcomes, and often nothing at all."""
    assert reading.heard(message) is None


def test_what_is_published_is_heard() -> None:
    """As the outcome that it is."""
    assert reading.heard({"type": "message", "data": outcome().to_json()}) == outcome()
