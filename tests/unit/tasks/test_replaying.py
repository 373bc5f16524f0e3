"""A dead letter, understood again, and made a message."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest

from tasks.dead_letters import KeptLetter
from tasks.errors import NotUnderstoodError
from tasks.replaying import Replay, replay_of

UPDATE = {"id": "ev_1", "status": "completed"}
WRONG = {"id": "ev_2", "status": "done"}


def kept(raw: Any, entry: str = "1-0", message_id: str = "m") -> KeptLetter:
    """Return a letter of message `m`."""
    text = raw if isinstance(raw, str) else json.dumps(raw)
    return KeptLetter(entry, message_id, "why", "when", {"queue": "q"}, text)


def replay(raw: Any, max_updates: int = 10, **letter: str) -> Replay:
    """Return what becomes of a letter."""
    return replay_of(kept(raw, **letter), max_updates=max_updates, expand=expand)


def expand(body: bytes, compression: str) -> bytes:
    """Expand a body."""
    assert compression == "application/x-gzip"
    return gzip.decompress(body)


def body_of(*updates: Any) -> str:
    """Return the body of a message."""
    return json.dumps([[updates], {}, {}])


def whole(*updates: Any, **changed: Any) -> dict[str, Any]:
    """Return a whole message as it is kept."""
    return {"headers": {}, "properties": {}, "body": body_of(*updates), **changed}


def item(body: bytes, **headers: Any) -> str:
    """Return a message as it lies in the queue."""
    properties = {"body_encoding": "base64", "delivery_tag": "t"}
    text = base64.b64encode(body).decode()
    return json.dumps({"body": text, "headers": headers, "properties": properties})


PROTOCOL_1 = json.dumps({"task": "events.update_status", "id": "m", "kwargs": UPDATE})
BODY = body_of(UPDATE).encode()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(UPDATE, id="an update"),
        pytest.param({**UPDATE, "headers": {}, "body": "…"}, id="like part of a message"),
        pytest.param({**UPDATE, **whole({**UPDATE, "id": "ev_9"})}, id="like a whole message"),
        pytest.param(whole(UPDATE), id="a message"),
        pytest.param(whole(body=json.dumps([[], UPDATE, {}])), id="by its kwargs"),
        pytest.param(whole(body=PROTOCOL_1), id="protocol 1"),
        pytest.param(whole(body=item(BODY, id="m")), id="as it lay in the queue"),
        pytest.param(
            whole(body=item(gzip.compress(BODY), compression="application/x-gzip")),
            id="compressed",
        ),
        pytest.param(whole(body=item(PROTOCOL_1.encode())), id="protocol 1 in the queue"),
        pytest.param(
            whole(body=json.dumps({"body": BODY.decode(), "properties": {}})), id="as plain text"
        ),
    ],
)
def test_every_letter_is_understood_again(raw: Any) -> None:
    """However it was kept."""
    assert replay(raw).arguments == [[UPDATE]]
    assert replay(raw).rest == []


def test_the_rules_are_those_of_today() -> None:
    """What was too many may have become allowed."""
    with pytest.raises(NotUnderstoodError, match="1 to 1 updates, this one 2"):
        replay(whole(UPDATE, UPDATE), max_updates=1)
    assert replay(whole(UPDATE, UPDATE), max_updates=2).arguments == [[UPDATE, UPDATE]]


def test_what_is_not_valid_becomes_letters_of_its_own() -> None:
    """Each with its reason, and with where it came from."""
    other = {**UPDATE, "id": "ev_3"}
    (rest,) = replay(whole(UPDATE, WRONG, other)).rest
    assert replay(whole(UPDATE, WRONG, other)).arguments == [[UPDATE, other]]
    assert (rest.message_id, rest.index, rest.delivery) == ("m", 1, {"queue": "q"})
    assert json.loads(rest.raw) == WRONG
    assert rest.reason.startswith("status: ")


def test_the_new_message_is_told_from_the_old_one() -> None:
    """Which has been answered: the same id would make the new answer look like a repeat."""
    assert replay(UPDATE).message_id != "m"


def test_a_replay_that_was_killed_sends_the_same_again() -> None:
    """Under the same id; another letter, or another part of it, under another."""
    others = [
        replay(UPDATE, entry="2-0"),
        replay(UPDATE, message_id="n"),
        replay(whole(UPDATE, {**UPDATE, "id": "ev_9"})),
    ]
    assert replay(UPDATE).message_id == replay(UPDATE).message_id
    assert len({replay(UPDATE).message_id, *(one.message_id for one in others)}) == 4


def test_a_letter_without_an_id_can_be_sent_too() -> None:
    """That was what was wrong with it, perhaps."""
    assert replay(whole(UPDATE), message_id="").message_id


def test_the_account_is_kept() -> None:
    """It is part of what was asked for."""
    update = {**UPDATE, "accountId": "acct_9"}
    assert replay(update).arguments == [[update]]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param("{", "what was kept is not JSON: ", id="not JSON"),
        pytest.param("[" * 100_000, "what was kept is not JSON: ", id="too deep"),
        pytest.param(whole(body=7), "^it has no body$", id="no body"),
        pytest.param(whole(WRONG), "^status: ", id="nothing valid"),
        pytest.param(whole(body=item(b"pickle")), "^the body is not JSON", id="no JSON in it"),
        pytest.param(
            whole(body=item(b"", compression="zip")), "its body cannot be decoded", id="unknown"
        ),
        pytest.param(
            whole(**{"body-bytes": 12_000_000}),
            "of its 12,000,000 bytes only the first were kept",
            id="cut",
        ),
    ],
)
def test_what_cannot_be_understood_says_why(raw: Any, reason: str) -> None:
    """So that a person can decide what to do with it."""
    with pytest.raises(NotUnderstoodError, match=reason):
        replay(raw)
