"""What the result channel may carry, read whatever it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from settle_client import Outcome, UnreadOutcome
from settle_client.salvage import read_entry, read_outcome
from tests.stream import outcome

if TYPE_CHECKING:
    from collections.abc import Callable

WRITTEN = outcome().to_json().decode()


def with_payload(payload: str, then: str = "") -> str:
    """Write an outcome with a payload, as text."""
    return WRITTEN[:-1] + f',"payload":{payload}{then}}}'


def test_an_outcome_is_read_as_it_was_written() -> None:
    """Also one with a payload."""
    assert read_outcome(WRITTEN) == outcome()
    assert read_outcome(with_payload('{"total": 1}')).payload == {"total": 1}


@pytest.mark.parametrize(
    "payload",
    [
        '{"n": ' + "9" * 5_000 + "}",
        "[" * 100_000 + "]" * 100_000,
        '{"a": "}, \\"payload\\": \\\\", "n": ' + "9" * 5_000 + "}",
        "9" * 5_000,
        '{"payload": ' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}",
    ],
    ids=["digits", "depth", "signs in texts", "no object", "a payload in a payload"],
)
@pytest.mark.parametrize("then", ["", ',"more": 1'], ids=["at the end", "in the middle"])
def test_a_payload_that_python_cannot_hold_is_its_text(payload: str, then: str) -> None:
    """The rest of the outcome is as good as any."""
    read = read_outcome(with_payload(payload, then))
    assert read.payload == payload
    assert (read.id, read.message_id, read.reason) == ("ev_1", "m", "not_found")
    assert not isinstance(read, UnreadOutcome)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ('{"id": "ev_1", "messageId": "m", "updated": "who knows"}', ("ev_1", "m")),
        (WRITTEN.replace('"updated":false', '"updated":[]'), ("ev_1", "m")),
        ("{}", (None, None)),
        ("[]", (None, None)),
        ("", (None, None)),
        ("{" * 5_000, (None, None)),
        ("\\xff\x00", (None, None)),
        # Not in a time that grows with the square of its length, which would be hours.
        ('{"payload": "' + '\\"' * 500_000, (None, None)),
    ],
    ids=["a part", "a type", "nothing", "a list", "empty", "open", "bytes", "a text without end"],
)
def test_what_is_no_outcome_says_what_it_was(text: str, known: tuple[Any, Any]) -> None:
    """With what can be known of it; it updated nothing."""
    read = read_outcome(text)
    assert isinstance(read, UnreadOutcome)
    assert (read.id, read.message_id, read.updated) == (*known, False)
    assert (read.text, read.to_json()) == (text, text.encode())
    assert read.why
    assert read.error is UNSET


@pytest.mark.parametrize(
    ("index", "known"), [("3", 3), ('"3"', None), ("true", None), ("-1", None), ("[]", None)]
)
def test_of_what_is_no_outcome_the_index_may_be_known(index: str, known: int | None) -> None:
    """By it, and its message, it is told from others."""
    read = read_outcome(f'{{"messageId": "m", "updated": [], "index": {index}}}')
    assert isinstance(read, UnreadOutcome)
    assert read.index == known


def test_what_is_no_outcome_is_told_from_others() -> None:
    """Whoever drops repeats loses nothing; what comes again is the same."""
    one, other, again = map(read_outcome, ("one", "other", "one"))
    assert one.identity == again.identity != other.identity
    known = read_outcome('{"messageId": "m", "updated": [], "index": 0}')
    assert known.identity == ("m", 0)


def test_an_entry_of_somebody_elses_is_shown_as_it_is() -> None:
    """There is no outcome in it."""
    read = read_entry({"by": "hand"})
    assert isinstance(read, UnreadOutcome)
    assert json.loads(read.text) == {"by": "hand"}


@pytest.mark.parametrize(
    "use",
    [lambda one: one.to_json(), lambda one: one.to_dict(), repr, lambda one: one.without_payload()],
    ids=["to_json", "to_dict", "repr", "without_payload"],
)
@pytest.mark.parametrize(
    "text", ["{}", with_payload("9" * 5_000), with_payload("[" * 9_000)], ids=["no", "yes", "half"]
)
def test_it_can_be_used_as_any_outcome(text: str, use: Callable[[Outcome], Any]) -> None:
    """Whoever does not know of it does not die of it."""
    assert use(read_outcome(text)) is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(
    st.text()
    | JSON.map(json.dumps)
    | st.dictionaries(
        st.sampled_from(["id", "updated", "status", "reason", "messageId", "payload", "error"]),
        JSON,
    ).map(json.dumps)
)
def test_nothing_that_comes_raises(text: str) -> None:
    """Whatever it is, it is an outcome that can be written down."""
    read = read_outcome(text)
    assert isinstance(read, Outcome)
    read.to_json()
    read.to_dict()
