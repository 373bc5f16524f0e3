"""What a member of a consumer group asks of the server: no server, and a clock of the test's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from settle_client.following import ENTRIES_PER_READ, Member
from settle_client.steps import drive, iterate
from tests.stream import Server, outcome, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from settle_client import Outcome

MADE, NOTHING, UNCLAIMED = True, None, ["0-0", [], []]
LOST = ConnectionError("lost")


def not_at_all(*_: Any) -> Callable[[], None]:
    """Repeat nothing: the tests do."""
    return lambda: None


def follow(server: Server, claim_after_seconds: float = 60) -> Any:
    """Follow as the member `one` of the group `g`."""
    member = Member("g", "one", claim_after_seconds, now=server.now)
    return iterate(member.follow(), server, not_at_all)


def take(followed: Any, count: int) -> list[str]:
    """Return the ids of the next few."""
    return [next(followed).id for _ in range(count)]


def acknowledged(server: Server) -> list[str]:
    """Return what was acknowledged, in order."""
    return [id_ for command in server.commands if command[0] == "XACK" for id_ in command[3:]]


def read_from(server: Server) -> list[str]:
    """Return from where entries were asked for."""
    return [command[-1] for command in server.commands if command[0] == "XREADGROUP"]


def test_a_member_resumes_takes_over_and_goes_on() -> None:
    """Its own pending entries first, then others', then what is new; each acknowledged."""
    server = Server(
        *(MADE, stream(outcome("mine")), 1, NOTHING, stream(outcome("new"), first=3), 1),
        *(["0-0", ["2-0"], []], stream(outcome("theirs"), first=2), 1, NOTHING),
    )
    followed = follow(server)
    assert take(followed, 2) == ["mine", "new"]
    server.time += 60
    assert take(followed, 1) == ["theirs"]
    followed.close()
    # What was at hand when the loop was left is not.
    assert acknowledged(server) == ["1-0", "3-0"]
    assert read_from(server) == ["0", "0", ">", "0"]


def test_each_outcome_is_acknowledged_when_it_is_handled() -> None:
    """When the next one is asked for, and before that is given."""
    server = Server(MADE, stream(*map(outcome, "abc")), 1, 1)
    followed = follow(server)
    for number, id_ in enumerate("abc"):
        assert take(followed, 1) == [id_]
        assert acknowledged(server) == ["1-0", "2-0", "3-0"][:number]


class Distant(Server):
    """A server that takes a second for an acknowledgement."""

    def __call__(self, step: Any) -> Any:
        """Answer."""
        reply = super().__call__(step)
        self.time += step[0] == "XACK"
        return reply


@pytest.mark.parametrize(
    ("seconds_each", "together"),
    [(0, [1, 9]), (1, [1, 3, 3, 3]), (4, [1] * 10)],
    ids=["no time", "some", "longer than the server"],
)
def test_a_fast_caller_waits_for_the_server_less_often_than_it_asks(
    seconds_each: float, together: list[int]
) -> None:
    """What it handles within three answers is acknowledged at once; a slow one waits for none."""
    server = Distant(MADE, stream(*map(outcome, "abcdefghij")))
    followed = follow(server, claim_after_seconds=600)
    for _ in range(10):
        next(followed)
        server.time += seconds_each
    followed.close()
    acknowledging = [command for command in server.commands if command[0] == "XACK"]
    # The last is at hand.
    together = [*together[:-1], together[-1] - 1]
    assert [len(command[3:]) for command in acknowledging] == [n for n in together if n]
    assert acknowledged(server) == [f"{number}-0" for number in range(1, 10)]


def test_what_was_handled_does_not_wait_for_what_is_at_hand() -> None:
    """It is acknowledged beside the caller, who may take his time over the next."""
    server = Distant(MADE, stream(*map(outcome, "abc")))
    member = Member("g", "one", 60, now=server.now)
    followed = iterate(member.follow(), server, not_at_all)
    assert take(followed, 3) == ["a", "b", "c"]
    assert acknowledged(server) == ["1-0"]
    for _ in range(2):
        drive(member.acknowledge(), server)
    assert acknowledged(server) == ["1-0", "2-0"]


def test_who_leaves_while_the_server_is_away_is_not_kept() -> None:
    """What could not be acknowledged comes again."""
    server = Distant(MADE, stream(*map(outcome, "abc")), 1, LOST)
    followed = follow(server)
    assert take(followed, 3) == ["a", "b", "c"]
    followed.close()
    assert server.pauses == []


def test_what_others_left_is_taken_over_again_and_again() -> None:
    """Whenever so much time has passed, and in as many steps as the server wants."""
    idle = (NOTHING, NOTHING)
    server = Server(
        *(MADE, NOTHING, *idle, ["5-0", [], []], UNCLAIMED, *idle, *idle, UNCLAIMED),
        stream(outcome()),
    )
    assert take(follow(server, 2.0), 1) == ["ev_1"]
    claims = [command for command in server.commands if command[0] == "XAUTOCLAIM"]
    assert [command[5] for command in claims] == ["0-0", "5-0", "0-0"]
    assert {command[4] for command in claims} == {2000}


def test_what_is_held_is_renewed() -> None:
    """By reading it again, which touches nothing that is somebody else's by now."""
    server = Server(MADE, stream(outcome("a"), outcome("b"), outcome("c")), 1)
    member = Member("g", "one", 60, now=server.now)
    followed = iterate(member.follow(), server, not_at_all)
    drive(member.renew(), server)
    assert server.commands == []
    take(followed, 2)
    drive(member.renew(), server)
    renewal = server.commands[-1]
    assert (renewal[0], renewal[5], renewal[-1]) == ("XREADGROUP", 2, f"1-{2**64 - 1}")


@pytest.mark.parametrize(
    ("first", "place"),
    [("7-3", "7-2"), ("7-1", "7-0"), ("7-0", f"6-{2**64 - 1}"), ("0-1", "0-0")],
)
def test_a_renewal_begins_just_before_what_is_held(first: str, place: str) -> None:
    """So that what is held is read again, and nothing before it."""
    ((name, [(_, fields)]),) = stream(outcome("a"))
    server = Server(MADE, [[name, [(first, fields)]]])
    member = Member("g", "one", 60, now=server.now)
    take(iterate(member.follow(), server, not_at_all), 1)
    drive(member.renew(), server)
    assert read_from(server)[-1] == place


@pytest.mark.parametrize(
    ("renewed", "expected"),
    [(["a", "b"], ["0"]), (["a"], ["0", "0"]), (None, ["0", "0"])],
    ids=["all of it", "a part, for the other was taken over", "no part, for there is no server"],
)
def test_what_was_not_renewed_in_time_is_asked_for_again(
    renewed: list[str] | None, expected: list[str]
) -> None:
    """Somebody else may be at it: only what is still this member's is given."""
    page = stream(outcome("a"), outcome("b"))
    reply = LOST if renewed is None else stream(*map(outcome, renewed))
    server = Server(MADE, page, reply, 1, stream(outcome("b"), first=2))
    member = Member("g", "one", 60, now=server.now)
    followed = iterate(member.follow(), server, not_at_all)
    assert take(followed, 1) == ["a"]
    server.time = 40
    try:
        drive(member.renew(), server)
    except ConnectionError:
        assert renewed is None
    server.time = 70
    assert take(followed, 1) == ["b"]
    assert [place for place in read_from(server) if place == "0"] == expected


@pytest.mark.parametrize("error", ["BUSYGROUP Consumer Group name already exists", "NOPERM"])
def test_a_group_that_is_there_is_no_trouble(error: str) -> None:
    """Any other error is."""
    server = Server(RuntimeError(error), stream(outcome()))
    if "BUSYGROUP" in error:
        assert take(follow(server), 1) == ["ev_1"]
    else:
        with pytest.raises(RuntimeError, match="NOPERM"):
            next(follow(server))


def test_a_member_outlives_a_lost_connection() -> None:
    """And asks for its own again, for a reply may have been on its way."""
    server = Server(
        *(MADE, NOTHING, LOST, LOST, NOTHING, stream(outcome("a"), outcome("b"))),
        *(LOST, 1, NOTHING, LOST, stream(outcome("c"), first=3)),
    )
    followed = follow(server)
    assert take(followed, 2) == ["a", "b"]
    # The acknowledgement is repeated.
    assert acknowledged(server) == ["1-0", "1-0"]
    assert read_from(server) == ["0", ">", "0", "0", ">"]
    assert len(server.pauses) == 3


def test_a_server_that_never_answered_is_not_waited_for() -> None:
    """It may not be the one that is meant."""
    with pytest.raises(ConnectionError, match="lost"):
        next(follow(Server(LOST)))


def test_a_group_that_is_gone_is_made_anew() -> None:
    """Somebody has emptied the server: what it has now is new."""
    gone = RuntimeError("NOGROUP No such key 'event-outcomes' or consumer group 'g'")
    server = Server(MADE, NOTHING, gone, MADE, NOTHING, stream(outcome("a")))
    assert take(follow(server), 1) == ["a"]
    assert server.names.count("XGROUP CREATE") == 2


def trimmed(*ids: str) -> Any:
    """Return a reply with entries that are there no more."""
    return [["event-outcomes", [(id_, {}) for id_ in ids]]]


def test_what_was_trimmed_is_acknowledged_and_not_given() -> None:
    """There is nothing left to give."""
    server = Server(MADE, trimmed("1-0", "2-0"), 1, 1, NOTHING, stream(outcome("a"), first=3))
    assert take(follow(server), 1) == ["a"]
    assert acknowledged(server) == ["1-0", "2-0"]


@pytest.mark.parametrize(
    ("text", "read"),
    [("{}", lambda one: one.id is None), ("no JSON", lambda one: not one.updated)],
    ids=["another object", "no JSON"],
)
def test_what_is_no_outcome_is_given_and_acknowledged(
    text: str, read: Callable[[Outcome], bool]
) -> None:
    """So that it is not what every member dies of."""
    odd = [["event-outcomes", [("1-0", {"outcome": text})]]]
    server = Server(MADE, odd, 1, NOTHING, stream(outcome("a"), first=2))
    followed = follow(server)
    assert read(next(followed))
    assert take(followed, 1) == ["a"]
    assert acknowledged(server) == ["1-0"]


def test_a_page_is_small() -> None:
    """What one member holds, others cannot work on."""
    server = Server(MADE, NOTHING, stream(outcome()))
    take(follow(server), 1)
    assert {command[5] for command in server.commands[1:]} == {ENTRIES_PER_READ}
