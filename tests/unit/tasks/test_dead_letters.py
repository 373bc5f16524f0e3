"""A dead letter, understood again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from settle_client.update import StatusUpdate
from tasks.dead_letters import KeptLetter, arguments, understand_again
from tasks.errors import NotUnderstoodError
from tasks.messages import InvalidUpdate, Message

UPDATE = {"id": "ev_1", "status": "completed"}


def kept(raw: Any) -> KeptLetter:
    """Return a letter of message `m`."""
    return KeptLetter(
        "1-0", "m", "why", "when", {}, raw if isinstance(raw, str) else json.dumps(raw)
    )


def whole(**changed: Any) -> dict[str, Any]:
    """Return a whole message as it is kept."""
    body = json.dumps([[[UPDATE, {"id": "ev_2", "status": "done"}]], {}, {}])
    return {"headers": {}, "properties": {}, "body": body, **changed}


def sent_again(message: Message) -> list[Any]:
    """Return the arguments of a message that carries the valid updates of another."""
    return arguments([each for each in message.updates if isinstance(each, StatusUpdate)])


def test_an_update_is_understood_again() -> None:
    """Under the id of its message."""
    message = understand_again(kept(UPDATE), max_updates=1)
    assert message.id == "m"
    assert sent_again(message) == [[UPDATE]]


def test_a_whole_message_is_understood_again() -> None:
    """By the rules of today: what was too many may have become allowed."""
    with pytest.raises(NotUnderstoodError, match="1 to 1 updates, this one 2"):
        understand_again(kept(whole()), max_updates=1)
    message = understand_again(kept(whole()), max_updates=2)
    assert message.id == "m"
    assert sent_again(message) == [[UPDATE]]
    assert isinstance(message.updates[1], InvalidUpdate)


def test_an_update_may_look_like_part_of_a_message() -> None:
    """A whole message has headers, properties and a body; anything less is an update."""
    update = {**UPDATE, "headers": {}, "body": "…"}
    assert sent_again(understand_again(kept(update), max_updates=1)) == [[UPDATE]]


def test_arguments_keep_the_account() -> None:
    """It is part of what was asked for."""
    update = {**UPDATE, "accountId": "acct_9"}
    assert sent_again(understand_again(kept(update), max_updates=1)) == [[update]]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param("{", "what was kept is not JSON: ", id="not JSON"),
        pytest.param(whole(body=7), "^it has no body$", id="no body"),
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
        understand_again(kept(raw), max_updates=10)
