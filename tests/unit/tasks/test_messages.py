"""What a message may look like, and what is said of one that does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settle_client.update import StatusUpdate
from tasks.density import MAX_VALUES
from tasks.errors import NotUnderstoodError
from tasks.messages import (
    InvalidUpdate,
    decode_body,
    is_json,
    read_message,
    understand,
    unintelligible,
)


def read(args: Any = (), kwargs: Any = None, message_id: Any = "m", max_updates: int = 1000) -> Any:
    """Understand arguments as they come out of JSON."""
    return understand(message_id, list(args), kwargs or {}, max_updates=max_updates)


def test_one_update_as_kwargs() -> None:
    """The keyword form carries one update."""
    message = read(kwargs={"id": "ev_1", "status": "completed"})
    assert message.id == "m"
    assert message.updates == (StatusUpdate(id="ev_1", status="completed"),)


def test_several_updates_as_one_argument() -> None:
    """The list form carries several, in order."""
    message = read([[{"id": "b", "status": "failed"}, {"id": "a", "status": "completed"}]])
    assert [update.id for update in message.updates] == ["b", "a"]


def test_the_event_itself_is_an_update() -> None:
    """Attributes of the event that say nothing about its status are ignored."""
    (update,) = read(
        kwargs={
            "id": "ev_1",
            "status": "completed",
            "accountId": "acct_9",
            "eventType": "x",
            "payload": {"deep": [1]},
            "createdAt": "whenever",
        }
    ).updates
    assert update == StatusUpdate(id="ev_1", status="completed", account_id="acct_9")


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        pytest.param({"id": "x", "status": "done"}, "status: must be 'completed'", id="status"),
        pytest.param({"id": "x", "status": None}, "status: must be 'completed'", id="null-status"),
        pytest.param({"id": "x"}, "status: is required", id="no-status"),
        pytest.param({"status": "failed"}, "id: is required", id="no-id"),
        pytest.param({"id": "", "status": "failed"}, "id: must have at least 1", id="empty-id"),
        pytest.param({"id": "i" * 256, "status": "failed"}, "id: must have at most 255", id="long"),
        pytest.param({"id": 5, "status": "failed"}, "id: must be a valid string", id="number-id"),
        pytest.param({"id": "a\0b", "status": "failed"}, "id: contains NUL", id="nul-id"),
        pytest.param({"id": "\ud800", "status": "failed"}, "id: must be a valid string", id="half"),
        pytest.param(
            {"id": "x", "status": "failed", "accountId": 1}, "accountId: must be", id="account"
        ),
        pytest.param("ev_1", "update: must be", id="not-an-object"),
        pytest.param(None, "update: must be", id="null"),
    ],
)
def test_an_invalid_update_is_singled_out(update: Any, expected: str) -> None:
    """It says which field is wrong, keeps what was sent, and leaves its neighbours alone."""
    good = {"id": "good", "status": "completed"}
    before, invalid, after = read([[good, update, good]]).updates
    assert before == after == StatusUpdate(id="good", status="completed")
    assert isinstance(invalid, InvalidUpdate)
    assert expected in invalid.error
    assert json.loads(invalid.raw) == update


def test_a_long_value_is_not_quoted_whole() -> None:
    """An error is one readable line, whatever was sent."""
    (invalid,) = read(kwargs={"id": "x", "status": "y" * 5000}).updates
    assert len(invalid.error) < 200


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([[]], {}, id="empty-list"),
        pytest.param(["ev_1", "completed"], {}, id="positional"),
        pytest.param([[{"id": "a", "status": "failed"}]], {"id": "a"}, id="both"),
        pytest.param([], {"foo": 1}, id="other-kwargs"),
        pytest.param({"id": 1}, [], id="swapped"),
        pytest.param(None, None, id="null"),
        pytest.param([{"id": "a", "status": "failed"}], {}, id="object-instead-of-list"),
    ],
)
def test_arguments_without_updates_are_not_understood(args: Any, kwargs: Any) -> None:
    """There is one form for one update and one for several, and the error names both."""
    with pytest.raises(NotUnderstoodError, match=r"kwargs|carries 1 to"):
        understand("m", args, kwargs, max_updates=1000)


def test_a_message_carries_a_bounded_number_of_updates() -> None:
    """One more than the bound is too many, whole."""
    updates = [{"id": "a", "status": "failed"}] * 3
    assert len(read([updates], max_updates=3).updates) == 3
    with pytest.raises(NotUnderstoodError, match="1 to 2 updates, this one 3"):
        read([updates], max_updates=2)


@pytest.mark.parametrize("message_id", [None, "", 7, "a\0b", "\udfff", ["x"]])
def test_a_message_needs_an_id_that_can_be_stored(message_id: Any) -> None:
    """The row remembers the message id, so it must be text."""
    with pytest.raises(NotUnderstoodError, match="message id"):
        read(kwargs={"id": "a", "status": "failed"}, message_id=message_id)


def test_a_body_is_args_kwargs_and_embed() -> None:
    """That is Celery's protocol 2."""
    assert decode_body(b'[[1], {"a": 2}, {"chain": null}]') == ([1], {"a": 2})


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"42", b"null", b'{"args": []}', b"[[], {}]", b"\xff\xfe", "[" * 100_000, b"[NaN"],
    ids=["empty", "cut", "number", "null", "object", "two", "binary", "deep", "nan"],
)
def test_a_body_of_another_shape_is_not_understood(body: bytes | str) -> None:
    """Whatever it is, it is refused in words, not with an exception of the parser's."""
    with pytest.raises(NotUnderstoodError):
        decode_body(body)


def test_half_a_character_spoils_one_update_only() -> None:
    """A lone surrogate is valid JSON; only the update that has it is invalid."""
    body = rb'[[[{"id": "\ud800", "status": "failed"}, {"id": "b", "status": "failed"}]], {}, {}]'
    first, second = read(*decode_body(body)).updates
    assert isinstance(first, InvalidUpdate)
    assert second.id == "b"


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=20))
def test_any_json_value_is_understood_or_refused(value: Any) -> None:
    """No value gets another exception out of it, and every update of a list is answered."""
    try:
        message = read([[value]])
    except NotUnderstoodError:
        return
    assert len(message.updates) == 1


def test_a_message_that_is_not_understood_is_answered_too() -> None:
    """It becomes one invalid update without an id, under its message id."""
    message = unintelligible("m", "why", "raw")
    assert message.id == "m"
    assert message.updates == (InvalidUpdate("why", "raw"),)
    assert unintelligible(7, "why", "raw").id is None


LONG = "m" * 256


def test_a_message_id_has_an_end() -> None:
    """It is in every outcome and every row of its message."""
    kwargs = {"id": "ev_1", "status": "completed"}
    assert read(kwargs=kwargs, message_id=LONG[:255]).id == LONG[:255]
    with pytest.raises(NotUnderstoodError, match="the message id has 256 characters"):
        read(kwargs=kwargs, message_id=LONG)


def test_a_message_id_that_is_cut_says_so() -> None:
    """Whatever else is wrong with the message."""
    message = unintelligible(LONG, "why", "raw")
    assert message.id == LONG[:255]
    (update,) = message.updates
    assert isinstance(update, InvalidUpdate)
    assert update.error == "why (its message id is cut to 255 characters)"


MARKED = {"__type__": "uuid", "__value__": {"hex": "0192f3a47c1e7abc8def0123456789ab"}}


@pytest.mark.parametrize("field", ["id", "accountId"])
@pytest.mark.parametrize("version", [{}, {"version": 7}], ids=["now", "as kombu 5.3 wrote it"])
def test_a_uuid_of_python_is_the_text_that_it_is(field: str, version: Any) -> None:
    """A Celery client that is given one marks it; its users see an id."""
    value = {"__type__": "uuid", "__value__": {**MARKED["__value__"], **version}}  # type: ignore[dict-item]
    (update,) = read(kwargs={"id": "ev_1", "status": "completed", field: value}).updates
    text = "0192f3a4-7c1e-7abc-8def-0123456789ab"
    assert (update.id if field == "id" else update.account_id) == text


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"__type__": "uuid", "__value__": {"hex": "zz"}}, id="no digits"),
        pytest.param({"__type__": "uuid", "__value__": {"hex": 5}}, id="a number"),
        pytest.param({"__type__": "uuid", "__value__": []}, id="a list"),
        pytest.param({"__type__": "decimal", "__value__": "5"}, id="another type"),
    ],
)
def test_another_mark_is_no_id(value: Any) -> None:
    """Nobody can tell what was meant."""
    (update,) = read(kwargs={"id": value, "status": "completed"}).updates
    assert isinstance(update, InvalidUpdate)
    assert "id: must be a valid string" in update.error


@pytest.mark.parametrize("value", ["[]", "{}", "1", '"a"'])
@pytest.mark.parametrize("odd", ["", "NaN,"], ids=["JSON", "odd JSON"])
def test_a_body_does_not_take_far_more_than_its_text(value: str, odd: str) -> None:
    """Where all of it would have to be decoded, to find what is wrong."""
    body = "[[[" + odd + f"{value}," * MAX_VALUES + "1]], {}, {}]"
    with pytest.raises(NotUnderstoodError, match="may have more than 500,000 values"):
        read_message("m", body, max_updates=1_000)
    assert is_json(body) is not bool(odd)


MANY = "[" + "[]," * MAX_VALUES + "[]]"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        pytest.param('"id": "a", "status": 5', "status: must be 'completed'", id="status"),
        pytest.param('"status": "failed"', "id: is required", id="no id"),
        pytest.param(f'"id": {MANY}, "status": "failed"', "id: must have at most", id="dense id"),
    ],
)
def test_an_update_is_singled_out_however_much_is_ignored(said: str, error: str) -> None:
    """Its neighbours are understood."""
    good = f'{{"id": "b", "status": "failed", "payload": {MANY}}}'
    one = read_message("m", f"[[], {{{said}}}, {{}}]", max_updates=10)
    many = read_message("m", f"[[[{{{said}}}, {good}]], {{}}, {{}}]", max_updates=10)
    for message in (one, many):
        assert isinstance(message.updates[0], InvalidUpdate)
        assert error in message.updates[0].error
    assert many.updates[1] == StatusUpdate("b", "failed")


def test_what_is_ignored_may_be_anything() -> None:
    """It is not decoded where all updates are valid."""
    body = f'[[], {{"id": "ev_1", "status": "completed", "payload": {MANY}}}, {{}}]'
    assert read_message("m", body, max_updates=1).updates == (StatusUpdate("ev_1", "completed"),)
