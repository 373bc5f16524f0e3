"""The body of a request: understood as updates, or refused."""

from __future__ import annotations

import json
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.errors import NotUnderstoodError
from tasks.requests import understand_request

GOOD = {"id": "ev_1", "status": "completed"}


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(GOOD),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
@example(b"[" * 100_000)
@example(b"[" * 100_000 + b"]" * 100_000)
@example(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
@example(b"1" * 10_000)
@example(b"[1e999999]")
@example(b"[NaN]")
@example(b'[{"id": "\\ud800", "status": "completed"}]')
@example(b'[{"id": "a", "status": "completed", "payload": "\\ud800"}]')
@example(b'[{"\\ud800": 1}]')
@example(b"\xef\xbb\xbf[]")
@example('[{"id": "é", "status": "failed"}]'.encode("utf-16"))
def test_any_bytes_are_understood_or_refused(text: bytes) -> None:
    """Updates, or one line that can be sent; nothing else gets out."""
    try:
        updates = understand_request(text, max_updates=10)
    except NotUnderstoodError as error:
        refused = error
    else:
        assert 1 <= len(updates) <= 10
        assert all(1 <= len(update.id) <= 255 for update in updates)
        return
    assert str(refused).encode()
    assert "\n" not in str(refused)


DENSE = "[],"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[" + DENSE * 10**6 + "1]", "the body may have more than 500,000 values"),
        ("[" + "{}," * 10**6 + "1]", "the body may have more than 500,000 values"),
        ('[{"id": "", "status": "failed", "payload": [' + DENSE * 10**6 + "1]}]", "[0].id"),
    ],
    ids=["lists", "objects", "a payload"],
)
def test_what_is_small_as_text_and_large_in_memory_is_not_decoded(body: str, said: str) -> None:
    """What is wrong is said all the same, where that can be."""
    text = body.encode()
    tracemalloc.start()
    try:
        with pytest.raises(NotUnderstoodError, match=re.escape(said)):
            understand_request(text, max_updates=10)
        assert tracemalloc.get_traced_memory()[1] < len(text)
    finally:
        tracemalloc.stop()


def test_updates_are_understood_in_order() -> None:
    """What else an event has is ignored."""
    updates = understand_request(
        json.dumps([GOOD, {**GOOD, "id": "ev_2", "accountId": "a", "payload": {"x": 1}}]).encode(),
        max_updates=2,
    )
    assert [(one.id, one.account_id) for one in updates] == [("ev_1", None), ("ev_2", "a")]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param("", "the body is empty", id="nothing"),
        pytest.param("{]", "the body is not JSON", id="no JSON"),
        pytest.param("[NaN]", "the body is not JSON", id="NaN"),
        pytest.param(GOOD, "the body is an object: it must be an array", id="an object"),
        pytest.param([], "1 to 3 updates, this one 0", id="empty"),
        pytest.param([GOOD] * 4, "1 to 3 updates, this one 4", id="too many"),
        pytest.param([GOOD, 7], "[1]: must be an object", id="a number"),
        pytest.param([{"status": "failed"}], "[0].id: is required", id="no id"),
        pytest.param([{"id": "a"}], "[0].status: is required", id="no status"),
        pytest.param([{**GOOD, "id": ""}], "[0].id: must have at least 1 character", id="empty id"),
        pytest.param([{**GOOD, "id": "x" * 256}], "[0].id: must have at most 255", id="long id"),
        pytest.param([{**GOOD, "id": 7}], "[0].id: must be a valid string, got 7", id="number id"),
        pytest.param([{**GOOD, "id": "a\0"}], "[0].id: contains NUL", id="NUL"),
        pytest.param('[{"id": "\\ud800", "status": "failed"}]', "[0].id: ", id="surrogate"),
        pytest.param(
            [GOOD, GOOD, {**GOOD, "status": "done"}],
            "[2].status: must be 'completed' or 'failed', got 'done'",
            id="status",
        ),
        pytest.param([{**GOOD, "accountId": 7}], "[0].accountId: must be", id="account"),
    ],
)
def test_what_is_not_valid_is_named(sent: Any, expected: str) -> None:
    """The element, the field, what it should be, what it was."""
    text = sent if isinstance(sent, str) else json.dumps(sent)
    with pytest.raises(NotUnderstoodError) as refused:
        understand_request(text.encode(), max_updates=3)
    assert expected in str(refused.value)


@pytest.mark.parametrize("depth", range(900, 1_010, 5))
def test_a_field_may_be_nested_as_deeply_as_one_likes(depth: int) -> None:
    """It is refused, however little of it can be said."""
    text = '[{"id": "a", "status": "failed", "accountId": %s}]'
    with pytest.raises(NotUnderstoodError):
        understand_request((text % ("[" * depth + "]" * depth)).encode(), max_updates=1)
