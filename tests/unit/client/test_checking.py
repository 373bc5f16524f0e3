"""An update is valid, or explained: the same rules for JSON and for what callers hand in."""

from __future__ import annotations

import json
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from settle_client.checking import check, check_all, check_id, find_faults
from settle_client.errors import InvalidUpdateError
from settle_client.update import StatusUpdate

GOOD = {"id": "ev_1", "status": "completed"}


class Status(StrEnum):
    """As a caller may have it."""

    COMPLETED = "completed"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(GOOD, id="a dict"),
        pytest.param(MappingProxyType(GOOD), id="any mapping"),
        pytest.param({**GOOD, "accountId": None, "payload": {"a": object()}}, id="more of it"),
        pytest.param({**GOOD, "status": Status.COMPLETED}, id="an enumeration"),
        pytest.param(StatusUpdate("ev_1", "completed"), id="an update"),
    ],
)
def test_a_valid_update_is_taken_in_any_form(given: Any) -> None:
    """Its fields are plain texts afterwards."""
    update = check(given)
    assert update == StatusUpdate("ev_1", "completed")
    assert {type(value) for value in (update.id, update.status)} == {str}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({}, "id: is required; status: is required", id="nothing"),
        pytest.param(
            {"id": 7, "status": "done"},
            "id: must be a valid string, got 7; "
            "status: must be 'completed' or 'failed', got 'done'",
            id="both",
        ),
        pytest.param({**GOOD, "id": ""}, "id: must have at least 1 character, got ''", id="empty"),
        pytest.param(
            {**GOOD, "id": "x" * 256},
            f"id: must have at most 255 characters, got '{'x' * 79}…",
            id="long",
        ),
        pytest.param(
            {**GOOD, "id": "a\0"},
            r"id: contains NUL, which PostgreSQL text cannot store, got 'a\x00'",
            id="NUL",
        ),
        pytest.param(
            {**GOOD, "accountId": "\ud800"},
            "accountId: must be a valid string, without half of a surrogate pair, "
            r"got '\ud800'",
            id="surrogate",
        ),
        pytest.param({**GOOD, "status": ["failed"]}, "got ['failed']", id="a list"),
        pytest.param("ev_1", "update: must be an object with id and status, got 'ev_1'", id="text"),
        pytest.param(
            StatusUpdate("", "done"),  # type: ignore[arg-type]
            "id: must have at least 1 character, got ''; status: must be 'completed' or",
            id="an update made by hand",
        ),
    ],
)
def test_what_is_wrong_is_named(given: Any, expected: str) -> None:
    """Every field of it, what it should be, and what it was."""
    with pytest.raises(InvalidUpdateError) as refused:
        check(given)
    assert expected in str(refused.value)


def test_of_several_the_place_is_named() -> None:
    """And of many only so many."""
    with pytest.raises(InvalidUpdateError) as refused:
        check_all([GOOD, 7, *[{"status": "failed"}] * 20])
    first, second, *_, last = str(refused.value).split("; ")
    assert first == "[1]: must be an object with id and status, got 7"
    assert second == "[2].id: is required"
    assert last == "and 11 more"


def test_what_cannot_be_quoted_is_refused_all_the_same() -> None:
    """Nested deeply, as JSON may be."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidUpdateError, match="something nested deeply"):
        check({**GOOD, "id": deep})


def test_an_id_alone_is_checked_as_in_an_update() -> None:
    """By the same rules, in the same words."""
    assert check_id("ev_1") == "ev_1"
    with pytest.raises(InvalidUpdateError, match=r"^id: must have at most 255 characters, got"):
        check_id("x" * 256)


TEXTS = (
    st.text(max_size=3)
    | st.sampled_from(["", "a\0b", "😀" * 255, "😀" * 256, "i" * 255, "i" * 256, "failed"])
    | st.none()
    | st.integers()
    | st.lists(st.text(max_size=1), max_size=1)
)
UPDATES = st.fixed_dictionaries(
    {}, optional={"id": TEXTS, "status": TEXTS | st.just("failed"), "accountId": TEXTS}
)

_decode = msgspec.json.Decoder(StatusUpdate).decode


@given(UPDATES | TEXTS)
@example({"id": "a", "status": "failed"})
def test_what_is_valid_as_json_is_valid_as_an_object(update: Any) -> None:
    """So that a body may be read either way. NUL is looked for before JSON is decoded."""
    text = json.dumps(update)
    try:
        decoded: StatusUpdate | None = _decode(text)
    except ValueError:
        decoded = None
    has_nul = "\\u0000" in text
    if has_nul:
        return
    assert (decoded is not None) == (not find_faults(update))
    if decoded is not None:
        assert decoded == check(update)
        assert json.loads(msgspec.json.encode(decoded)) == decoded.to_dict()
